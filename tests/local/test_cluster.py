import os
import select
import signal
import socket
import stat

import pytest

from local.files import take_lock
from local.ports import HOST
from tests.support.checkout import Checkout, wait_until
from tests.support.ports import free_port


def test_everything_runs_until_one_ctrl_c_ends_all_of_it_in_order(checkout: Checkout) -> None:
    with checkout.start() as run:
        run.wait_until_up()
        wait_until(lambda: len(checkout.left_running()) == 8)
        run.press_ctrl_c()
        assert run.ended() == 0
    assert checkout.is_quiet()
    assert {path.name for path in (checkout.folder / "ended").iterdir()} == {
        "web",
        "worker",
        "beat",
        "flower",
    }
    assert not (checkout.state / "redis.url").exists()
    assert "Traceback" not in run.text


def test_the_developer_reads_who_said_what_and_where_everything_is(checkout: Checkout) -> None:
    with checkout.start() as run:
        run.wait_until_up()
        said = [f"{name:<8} | here is {name}\n" for name in ("web", "worker", "beat", "flower")]
        wait_until(lambda: all(line in run.text for line in said))
        password = (checkout.state / "redis/password").read_text()
        assert run.text.startswith("release  | migrated\n")
        assert f"http://127.0.0.1:{checkout.web_port}/\n" in run.text
        assert f"http://127.0.0.1:{checkout.flower_port}/\n" in run.text
        assert f"127.0.0.1:{checkout.redis_port()}\n" in run.text
        assert password not in run.text
        assert "\033" not in run.text


def test_each_process_finds_its_port_the_loopback_address_and_redis(checkout: Checkout) -> None:
    with checkout.start() as run:
        run.wait_until_up()
        wait_until(lambda: len(list((checkout.folder / "env").iterdir())) == 4)
        web, worker, flower = (checkout.env_of(name) for name in ("web", "worker", "flower"))
        assert web["PORT"] == str(checkout.web_port)
        assert flower["PORT"] == str(checkout.flower_port)
        assert "PORT" not in worker
        assert worker["HOST"] == "127.0.0.1"
        url_file = checkout.state / "redis.url"
        assert worker["REDIS_URL"] == url_file.read_text()
        assert stat.S_IMODE(url_file.stat().st_mode) == 0o600


def test_no_other_user_of_the_machine_can_read_the_data(checkout: Checkout) -> None:
    checkout.write_procfile("python -c 'print(\"migrated\")'", "echo prices > var/written; echo migrated")
    (checkout.state / "redis").mkdir(parents=True)
    for path, mode in (("pricebeat.sqlite3", 0o644), ("redis/port", 0o666), ("redis", 0o755), ("", 0o755)):
        if not (checkout.state / path).is_dir():
            (checkout.state / path).touch()
        (checkout.state / path).chmod(mode)
    with checkout.start() as run:
        run.wait_until_up()
        paths = [checkout.state, *checkout.state.rglob("*")]
        assert {"written", "redis.url", "redis.log", "run.lock"} <= {path.name for path in paths}
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
        assert not {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


def test_a_redis_that_is_given_is_used_and_none_is_started(checkout: Checkout) -> None:
    checkout.env["REDIS_URL"] = "redis://:hush@elsewhere:6379/0"
    with checkout.start() as run:
        run.wait_until_up()
        wait_until((checkout.folder / "env/worker").exists)
        assert checkout.env_of("worker")["REDIS_URL"] == "redis://:hush@elsewhere:6379/0"
        assert "elsewhere:6379" in run.text
        assert "hush" not in run.text
        assert not (checkout.state / "redis").exists()


def test_a_supervisor_killed_with_9_leaves_nothing_and_the_next_run_has_all_data(checkout: Checkout) -> None:
    checkout.write_procfile("service.py worker", "service.py worker stubborn")
    with checkout.start() as run:
        run.wait_until_up()
        wait_until(lambda: len(checkout.left_running()) == 8)
        with checkout.redis() as redis:
            redis.set("key", "value")
        first_port = checkout.redis_port()
        run.process.kill()
        run.ended()
    with checkout.start() as run:  # waits for the guardian of the first
        run.wait_until_up()
        with checkout.redis() as redis:
            assert redis.get("key") == "value"
        assert checkout.redis_port() == first_port
        wait_until(lambda: len(checkout.left_running()) == 8)
        run.press_ctrl_c()
        wait_until(lambda: "Ctrl-C again ends everything at once" in run.text)
        run.press_ctrl_c()  # for the stubborn one
        assert run.ended() == 0
    assert checkout.is_quiet()


def test_a_supervisor_killed_with_9_while_it_starts_leaves_nothing(checkout: Checkout) -> None:
    with checkout.start() as run:
        wait_until(lambda: (checkout.state / "redis/redis.log").exists())
        run.process.kill()
        run.ended()
    lock = checkout.state / "run.lock"
    os.close(take_lock(lock))  # waits for the guardian
    assert not checkout.left_running()


def test_a_terminated_supervisor_ends_everything(checkout: Checkout) -> None:
    with checkout.start() as run:
        run.wait_until_up()
        run.process.send_signal(signal.SIGTERM)
        assert run.ended() == 0
    assert checkout.is_quiet()


def test_ctrl_c_in_the_middle_of_the_release_step_ends_it(checkout: Checkout) -> None:
    checkout.write_procfile("release: python -c", "release: python service.py release; python -c")
    with checkout.start() as run:
        wait_until(lambda: "here is release" in run.text)
        run.press_ctrl_c()
        assert run.ended() == 0
    assert checkout.is_quiet()
    assert not (checkout.folder / "env/web").exists()


def test_one_process_that_ends_by_itself_is_named_and_ends_the_others(checkout: Checkout) -> None:
    checkout.write_procfile("python service.py worker", "sleep 0.3; exit 7")
    with checkout.start() as run:
        assert run.ended() == 1
    assert "worker ended with status 7; ending the others.\n" in run.text
    assert checkout.is_quiet()


def test_a_redis_that_ends_by_itself_ends_the_others(checkout: Checkout) -> None:
    with checkout.start() as run:
        run.wait_until_up()
        with checkout.redis() as redis:
            pid = redis.info("server")["process_id"]
        os.kill(pid, signal.SIGKILL)
        assert run.ended() == 1
    assert "redis was ended by SIGKILL; ending the others.\n" in run.text
    assert checkout.is_quiet()


def test_a_release_step_that_fails_stops_the_run_before_any_service(checkout: Checkout) -> None:
    checkout.write_procfile("""python -c 'print("migrated")'""", "echo cannot migrate; exit 3")
    with checkout.start() as run:
        assert run.ended() == 1
    assert run.text.splitlines() == [
        "release  | cannot migrate",
        "pricebeat: the release step ended with status 3; no service was started.",
    ]
    assert checkout.is_quiet()


@pytest.mark.parametrize(("variable", "purpose"), [("PORT", "web"), ("FLOWER_PORT", "flower")])
def test_a_busy_port_is_named_with_the_way_to_choose_another(
    checkout: Checkout, variable: str, purpose: str
) -> None:
    with socket.create_server((HOST, int(checkout.env[variable]))) as other:
        port = other.getsockname()[1]
        status, lines = checkout.refused()
    assert status == 2
    assert lines == [
        f"pricebeat: port {port}, for {purpose}, is busy. Choose another: make run {variable}={port + 1}"
    ]
    assert not (checkout.state / "redis").exists()


@pytest.mark.parametrize("port", ["eight", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(checkout: Checkout, port: str) -> None:
    checkout.env["PORT"] = port
    assert checkout.refused() == (
        2,
        [f"pricebeat: PORT={port} is no port: choose a number from 1 to 65535."],
    )


def test_one_port_for_two_is_refused(checkout: Checkout) -> None:
    checkout.env["FLOWER_PORT"] = checkout.env["PORT"]
    status, lines = checkout.refused()
    assert (status, len(lines)) == (2, 1)
    assert "is meant for web and for flower: change FLOWER_PORT." in lines[0]


def test_a_state_that_cannot_be_used_is_said_in_one_line(checkout: Checkout) -> None:
    (checkout.state / "run.lock").mkdir(parents=True)
    status, lines = checkout.refused()
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("pricebeat: [Errno ")


def test_a_folder_that_cannot_be_written_is_said_in_one_line(checkout: Checkout) -> None:
    checkout.state.touch()  # a file where the folder should be stops root as well
    status, lines = checkout.refused()
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f"pricebeat: cannot write to {checkout.state}, where the data goes (")


def test_a_second_run_in_the_same_folder_is_refused(checkout: Checkout) -> None:
    with checkout.start() as run:
        run.wait_until_up()
        checkout.env |= {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
        assert checkout.refused() == (
            2,
            [
                f"pricebeat: already running in this folder (process {run.process.pid}). "
                "End it with Ctrl-C there first."
            ],
        )


def test_a_demo_runs_apart_from_the_developers_own_data(checkout: Checkout) -> None:
    standin = checkout.folder / "local/standin"
    standin.mkdir(parents=True)
    # The package goes on in the real one, before which this stand-in comes.
    (standin.parent / "__init__.py").write_text(
        "import pkgutil; __path__ = pkgutil.extend_path(__path__, __name__)"
    )
    (standin / "__init__.py").touch()
    (standin / "__main__.py").write_text(
        "import os, runpy, sys; os.environ.update(PORT=sys.argv[2], HOST='127.0.0.1');"
        "sys.argv[1:] = ['upstream']; runpy.run_path('service.py', run_name='__main__')"
    )
    checkout.env |= {
        "DATABASE_URL": "postgresql://production",
        "REDIS_URL": "redis://production",
        "OPENROUTER_API_KEY": "key",
        "WEBHOOK_URLS": "https://production",
    }
    checkout.state = checkout.state / "demo"
    with checkout.start(*checkout.command("demo")) as run:
        run.wait_until_up()
        wait_until((checkout.folder / "env/worker").exists)
        env = checkout.env_of("worker")
        upstream = checkout.env_of("upstream")
        assert env["DATABASE_URL"] == f"sqlite:///{checkout.state}/pricebeat.sqlite3"
        assert env["OPENROUTER_BASE_URL"] == f"http://127.0.0.1:{upstream['PORT']}/api/v1"
        assert env["PRICE_REFRESH_HOURS"] == "0.005"
        assert env["REDIS_URL"] == (checkout.state / "redis.url").read_text()
        assert not {"OPENROUTER_API_KEY", "WEBHOOK_URLS"} & env.keys()
        assert not (checkout.folder / "var/redis.url").exists()
        run.press_ctrl_c()
        assert run.ended() == 0
    assert checkout.is_quiet()


def test_output_that_nobody_reads_holds_up_neither_the_services_nor_the_end(checkout: Checkout) -> None:
    checkout.write_procfile("service.py worker", "-c 'while True: print(\"x\" * 1000)'")
    reader, writer = os.pipe()
    try:
        with checkout.start(output=writer) as run:
            wait_until((checkout.folder / "env/web").exists)
            wait_until(lambda: not select.select([], [writer], [], 0)[1])  # the pipe is full
            run.press_ctrl_c()
            assert run.ended() == 0
    finally:
        os.close(reader)
        os.close(writer)
    assert checkout.is_quiet()
