"""The product's schedule under celery-redbeat, as bench.failover runs it: `celery -A bench.redbeat beat`."""

from celery import Celery

from prices.runtime.settings import Settings

LEASE = Settings.from_env().lock_lease.total_seconds()

app = Celery("redbeat")
app.config_from_object("celeryconfig")
app.conf.update(
    beat_scheduler="redbeat.RedBeatScheduler",
    redbeat_lock_timeout=LEASE,  # its default: five times the longest wait, 25 minutes
    beat_max_loop_interval=LEASE / 3,  # as often as a beat of ours renews its lease, or asks for it
)
