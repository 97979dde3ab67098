"""Beat as Celery runs it: how often it looks, and when its schedule ticks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery.schedules import crontab, schedule

from tasks.celery import app
from tasks.scheduler import PriceScheduler, _tick_after

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize(("lease", "longest"), [("3", 1.0), ("60", app.conf.beat_max_loop_interval)])
def test_a_beat_looks_often_enough_to_keep_the_lead(
    lease: str, longest: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICE_LOCK_LEASE", lease)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/not_migrated.sqlite3")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    scheduler = PriceScheduler(app=app, lazy=True)
    scheduler.setup_schedule()
    assert scheduler.tick() == longest
    scheduler.close()


def test_the_first_tick_after_a_time_is_never_that_time() -> None:
    three_hours = timedelta(hours=3)
    assert _tick_after(crontab(minute=0, hour="*/3"))(NOON) == NOON + three_hours
    assert _tick_after(crontab(minute=0, hour="*/3"))(NOON - timedelta(seconds=1)) == NOON
    assert _tick_after(schedule(three_hours))(NOON) == NOON + three_hours
