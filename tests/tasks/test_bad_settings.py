"""A setting that cannot be used ends every command with one line that names it."""

import pytest

from tasks.__main__ import main
from tests.tasks.conftest import Run

CELERY, OPERATOR = ("celery", "-A", "tasks"), ("python", "-m", "tasks")
BAD = {
    "PRICE_REFRESH_HOURS": "often",
    "PRICE_LOCK_TTL": "-1",
    "PRICE_MARKUP": "NaN",
    "REDIS_URL": "http://somewhere",
    "DATABASE_URL": "oracle://somewhere",
    "OPENROUTER_BASE_URL": "somewhere",
    "LOG_FORMAT": "xml",
}


def assert_refused(run: Run, *command: str, names: str, **env: str) -> None:
    refused = run(*command, env=env)
    assert refused.returncode not in (0, None)
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert names in line


@pytest.mark.parametrize("name", BAD)
def test_every_bad_setting_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, BAD[name])
    assert main(["status"]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert (out, name in line) == ("", True)


@pytest.mark.parametrize(
    "command",
    [(*OPERATOR, "status"), (*OPERATOR, "run-once", "--json"), (*CELERY, "report"), (*CELERY, "worker")],
)
def test_every_command_ends_with_one_line(command: tuple[str, ...], run: Run) -> None:
    assert_refused(run, *command, names="PRICE_REFRESH_HOURS", PRICE_REFRESH_HOURS="often")


def test_a_secret_in_a_bad_address_is_not_shown(run: Run) -> None:
    refused = run(*CELERY, "report", env={"REDIS_URL": "amqp://user:hush@somewhere"})
    assert refused.returncode != 0
    assert "hush" not in refused.stdout + refused.stderr


def test_good_settings_are_reported(run: Run) -> None:
    told = run(*CELERY, "report")
    assert told.returncode == 0, told.stderr
    assert "refresh-prices" in told.stdout


def test_flower_does_not_start_open_to_others(run: Run) -> None:
    assert_refused(run, *CELERY, "flower", "--address=0.0.0.0", "--port=0", names="FLOWER_BASIC_AUTH")
