"""The operator's commands: what they print, where they print it, and with which status they end."""

from local.standin.client import Standin
from prices.coordination.heartbeats import say_alive
from prices.coordination.lease import Lease, make_token
from prices.refresh.story import refresh_prices
from prices.runtime.redis_client import LOCK_KEY
from prices.services import Services
from tests.tasks.conftest import TASKS, Run, json_of


def test_run_once_refreshes_and_then_says_that_the_prices_are_fresh(
    env: dict[str, str], run: Run, standin: Standin
) -> None:
    first = run(*TASKS, "run-once", "--json", env=env)
    assert first.returncode == 0, first.stderr
    told = json_of(first)
    assert (told["outcome"], told["revision"], told["models"]) == ("refreshed", 1, told["changes"])
    assert "fetching" in first.stderr  # progress is for people, beside the object

    again = run(*TASKS, "run-once", "--json", env=env)
    assert again.returncode == 0
    told = json_of(again)
    assert (told["outcome"], told["reason"]) == ("skipped", "fresh")
    assert 0 <= told["age_seconds"] < 60

    forced = run(*TASKS, "run-once", "--force", env=env)
    assert forced.returncode == 0
    assert forced.stdout.startswith("refreshed: ")
    assert standin.requests()["received"] == 2


def test_run_once_ends_with_3_when_another_refreshes_and_names_it(
    env: dict[str, str], run: Run, services: Services, standin: Standin
) -> None:
    other = make_token("worker@elsewhere", "task")
    assert Lease(services.redis, LOCK_KEY, other, lease=services.settings.lock_lease).take() is None

    done = run(*TASKS, "run-once", "--json", "--force", env=env)  # which never passes over the claim

    assert done.returncode == 3, done.stderr
    told = json_of(done)
    assert (told["outcome"], told["reason"], told["holder"]) == ("skipped", "held", "worker@elsewhere")
    assert standin.requests()["received"] == 0


def test_run_once_ends_with_1_and_the_reason_when_it_fails(
    env: dict[str, str], run: Run, standin: Standin
) -> None:
    standin.answer(status=500)

    done = run(*TASKS, "run-once", "--json", env=env)
    assert done.returncode == 1
    told = json_of(done)
    assert told["outcome"] == "failed"
    assert "upstream answered 500" in told["reason"]

    done = run(*TASKS, "run-once", "--force", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("failed: upstream answered 500")
    assert "; the next attempt may begin at 20" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_once_waits_as_upstream_asked_unless_forced_and_status_says_until_when(
    env: dict[str, str], run: Run, standin: Standin
) -> None:
    standin.answer(status=429, headers={"Retry-After": "7200"})
    told = json_of(run(*TASKS, "run-once", "--json", env=env))
    standin.clear()
    standin.forget()

    waiting = run(*TASKS, "run-once", "--json", env=env)
    again = json_of(waiting)
    assert (waiting.returncode, again["outcome"], again["reason"]) == (1, "skipped", "waiting")
    assert again["retry_at"] == told["retry_at"]
    for_people = run(*TASKS, "run-once", env=env)
    assert (for_people.returncode, for_people.stdout) == (1, "")
    assert for_people.stderr.splitlines()[-1] == (
        f"not tried before {told['retry_at']}, because the last refresh failed: {told['reason']}"
        " (--force does not wait)"
    )
    shown = run(*TASKS, "status", env=env).stdout
    assert f"next run   {told['retry_at']}: attempt 1 failed: {told['reason']}\n" in shown
    assert standin.requests()["received"] == 0

    assert run(*TASKS, "run-once", "--force", env=env).returncode == 0
    assert ": on schedule\n" in run(*TASKS, "status", env=env).stdout


def test_run_once_says_what_it_holds_and_accepts_it_where_told(
    env: dict[str, str], run: Run, standin: Standin
) -> None:
    assert run(*TASKS, "run-once", env=env).returncode == 0
    standin.answer(patch={"lumenforge/aurora-5": {"pricing.prompt": "0"}})

    held = run(*TASKS, "run-once", "--force", env=env)
    assert (held.returncode, held.stderr.count("Traceback")) == (0, 0)
    assert ", 0 changes, 1 held, revision 2" in held.stdout

    accepted = run(*TASKS, "run-once", "--accept-held", "--json", env=env)  # which implies --force
    told = json_of(accepted)
    assert (accepted.returncode, told["outcome"], told["held"], told["changes"]) == (0, "refreshed", 0, 1)
    assert standin.requests()["received"] == 3


def test_run_once_on_a_database_without_tables_says_what_to_run(
    empty_database_url: str, redis_url: str, run: Run
) -> None:
    env = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}
    done = run(*TASKS, "run-once", "--json", env=env)
    assert done.returncode == 1
    assert "deploy_migrations.py" in json_of(done)["reason"]


def test_status_ends_with_1_while_no_worker_and_no_beat_live(
    env: dict[str, str], run: Run, services: Services
) -> None:
    refresh_prices(services, worker="test")

    done = run(*TASKS, "status", "--json", env=env)
    assert (done.returncode, done.stderr) == (1, "")
    told = json_of(done)
    assert told["status"] == "degraded"
    assert [told[part]["status"] for part in ("database", "redis", "prices")] == ["ok"] * 3
    assert [told[part]["status"] for part in ("worker", "beat")] == ["down"] * 2
    assert told["prices"]["revision"] == 1

    for_people = run(*TASKS, "status", env=env)
    assert (for_people.returncode, for_people.stderr) == (1, "")
    lines = {line.split()[0]: line for line in for_people.stdout.splitlines()}
    assert lines["status"].split() == ["status", "degraded"]
    assert "no worker" in lines["worker"]
    assert "revision 1" in for_people.stdout


def test_status_ends_with_0_when_all_is_well(env: dict[str, str], run: Run, services: Services) -> None:
    refresh_prices(services, worker="test")
    for kind in ("worker", "beat"):
        say_alive(services.redis, services.keys, kind, f"{kind}@here")

    done = run(*TASKS, "status", "--json", env=env)

    assert (done.returncode, done.stderr) == (0, "")
    assert json_of(done)["status"] == "healthy"


def test_status_ends_with_1_while_redis_is_away(env: dict[str, str], run: Run) -> None:
    done = run(*TASKS, "status", "--json", env={**env, "REDIS_URL": "redis://127.0.0.1:1/0"})
    assert done.returncode == 1, done.stderr
    assert json_of(done)["redis"]["status"] == "down"


def test_status_ends_with_2_while_the_database_is_away(run: Run) -> None:
    done = run(*TASKS, "status", "--json")
    assert done.returncode == 2, done.stderr
    told = json_of(done)
    assert (told["status"], told["database"]["status"]) == ("unhealthy", "down")
