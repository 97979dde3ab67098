"""Celery's settings: the schedule, the formats, and time limits that fit into each other."""

import runpy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab

from prices.runtime.settings import ROOT, Settings
from tasks.celery import app

Config = Callable[..., dict[str, Any]]


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    """Celery's settings as they are under the given environment."""

    def read(**env: str) -> dict[str, Any]:
        for name, text in env.items():
            monkeypatch.setenv(name, text)
        return runpy.run_path(str(ROOT / "celeryconfig.py"))

    return read


def loaded(config: dict[str, Any]) -> Celery:
    """An application with these settings and the tasks that they import."""
    fresh = Celery("tasks", set_as_current=False, config_source=config)
    fresh.loader.import_default_modules()
    return fresh


def test_every_name_in_the_schedule_is_a_registered_task(config: Config) -> None:
    known = loaded(config()).tasks
    scheduled = [entry["task"] for entry in config()["beat_schedule"].values()]
    assert scheduled == ["refresh_prices"]
    assert set(scheduled) <= set(known)


def test_the_application_that_celery_finds_has_these_settings() -> None:
    app.loader.import_default_modules()
    assert app.conf.beat_scheduler == "tasks.scheduler:PriceScheduler"
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ("3", crontab(minute=0, hour="*/3")),
        ("1", crontab(minute=0, hour="*/1")),
        ("24", crontab(minute=0, hour=0)),
    ],
)
def test_full_hours_that_divide_the_day_are_a_crontab_in_utc(
    hours: str, expected: crontab, config: Config
) -> None:
    settings = config(PRICE_REFRESH_HOURS=hours)
    assert settings["beat_schedule"]["refresh-prices"]["schedule"] == expected
    assert settings["timezone"] == "UTC"
    assert settings.get("enable_utc", True)


def test_without_a_setting_prices_are_refreshed_every_three_hours(config: Config) -> None:
    assert config()["beat_schedule"]["refresh-prices"]["schedule"] == crontab(minute=0, hour="*/3")


@pytest.mark.parametrize("hours", ["0.5", "5", "36"])
def test_other_intervals_are_kept_as_they_are(hours: str, config: Config) -> None:
    schedule = config(PRICE_REFRESH_HOURS=hours)["beat_schedule"]["refresh-prices"]["schedule"]
    assert schedule.run_every == timedelta(hours=float(hours))


def test_a_message_expires_before_the_next_one_is_due(config: Config) -> None:
    entry = config(PRICE_REFRESH_HOURS="3")["beat_schedule"]["refresh-prices"]
    assert 0 < entry["options"]["expires"] <= 3 * 3600


def test_messages_and_results_are_json_only(config: Config) -> None:
    conf = loaded(config()).conf
    assert (conf.task_serializer, conf.result_serializer) == ("json", "json")
    assert conf.accept_content == conf.result_accept_content == ["json"]


def test_a_task_ends_before_its_lock_and_its_lock_before_a_redelivery(config: Config) -> None:
    conf, settings = loaded(config()).conf, Settings.from_env({})
    visibility = conf.broker_transport_options["visibility_timeout"]
    assert conf.task_soft_time_limit < conf.task_time_limit
    assert conf.task_time_limit < settings.lock_ttl.total_seconds() < visibility


def test_a_worker_waits_for_its_task_and_ends_before_the_platform_kills_it(config: Config) -> None:
    conf = loaded(config()).conf
    assert 0 < conf.worker_soft_shutdown_timeout <= 25
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1


def test_no_wait_for_redis_is_without_bound(config: Config) -> None:
    conf = loaded(config()).conf
    for options in (conf.broker_transport_options, conf.result_backend_transport_options):
        assert 0 < options["socket_timeout"] <= 10
        assert 0 < options["socket_connect_timeout"] <= 10
    assert 0 < conf.redis_socket_timeout <= 10
    assert 0 < conf.redis_socket_connect_timeout <= 10


def test_the_broker_may_be_another_than_the_lock_and_the_results(config: Config) -> None:
    settings = config(REDIS_URL="redis://here/0", CELERY_BROKER_URL="redis://there/0")
    assert (settings["broker_url"], settings["result_backend"]) == ("redis://there/0", "redis://here/0")


def test_a_prefix_stands_before_each_key_of_a_redis_and_before_the_queues_name_elsewhere(
    config: Config,
) -> None:
    options = ("broker_transport_options", "result_backend_transport_options")
    assert not any("global_keyprefix" in config()[name] for name in options)
    staging = config(PRICE_KEY_PREFIX="staging:")
    assert [staging[name]["global_keyprefix"] for name in options] == ["staging:", "staging:"]
    assert staging["task_default_queue"] == "celery"
    elsewhere = config(PRICE_KEY_PREFIX="staging:", CELERY_BROKER_URL="amqp://broker")
    assert elsewhere["task_default_queue"] == "staging:celery"
