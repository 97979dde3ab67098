"""Celery's settings and the one schedule. A setting that is not the default carries its reason."""

import sys
from datetime import timedelta

from celery.schedules import crontab
from celery.schedules import schedule as every
from kombu.utils.url import parse_url

from prices.errors import SettingsError
from prices.runtime.settings import Settings

try:
    _settings = Settings.from_env()
except SettingsError as error:
    sys.exit(f"pricebeat: {error}")


def _refresh_schedule(interval: timedelta) -> crontab | every:
    """Give full UTC hours where the interval divides the day, else a plain interval."""
    hours, rest = divmod(interval, timedelta(hours=1))
    if rest or 24 % hours:
        return every(interval)
    return crontab(minute=0, hour=f"*/{hours}" if hours < 24 else 0)


_REDIS_TIMEOUTS = {
    "socket_timeout": 5,  # kombu sets none: a hung Redis would hold a publish for ever
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
}

broker_url = _settings.broker_url
_IN_REDIS = broker_url.partition("://")[0] in ("redis", "rediss", "unix", "redis+socket", "sentinel")
# PRICE_KEY_PREFIX: before every key of the driver and so before the queue's; elsewhere before its name.
_PREFIXED = {"global_keyprefix": _settings.key_prefix} if _settings.key_prefix else {}
task_default_queue = "celery" if _IN_REDIS else f"{_settings.key_prefix}celery"
if broker_url.startswith("rediss://"):
    broker_use_ssl = parse_url(broker_url)["ssl"]  # Flower's page of the broker reads nothing of the address
result_backend = _settings.redis_url
imports = ("tasks.refresh", "tasks.heartbeats", "tasks.idle")

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]  # a message can never be code
result_accept_content = ["json"]

timezone = "UTC"
beat_schedule = {
    "refresh-prices": {
        "task": "refresh_prices",
        "schedule": _refresh_schedule(_settings.refresh_interval),
        # Bounds the backlog while there is no worker. Judged by the worker's clock, which may be wrong
        # by minutes, so it must be long beside that.
        "options": {"expires": 3600},
    },
}
beat_scheduler = "tasks.scheduler:PriceScheduler"  # the catalogue is its memory, one of many beats leads
beat_max_loop_interval = 5  # seconds until a failed publish, an overdue price or a new leader is seen
beat_enable_remote_control = True  # `celery inspect ping -d celerybeat@host` asks whether beat lives

task_acks_late = True  # with the next line: a worker's death requeues its task
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1  # what a worker waits with, another could have begun
task_track_started = True  # a run in progress is seen in Flower
worker_send_task_events = True  # Flower shows nothing without events
task_send_sent_event = True
result_expires = timedelta(days=1)
task_time_limit = min(300.0, 0.9 * _settings.lock_ttl.total_seconds())  # no run outlives its claim
task_soft_time_limit = 0.8 * task_time_limit
worker_max_memory_per_child = 256 * 1024  # KiB: one that a huge list made grow is replaced after its task
worker_soft_shutdown_timeout = 20  # a platform sends KILL 30 s after TERM
worker_enable_soft_shutdown_on_idle = False
worker_consumer = "tasks.consumer:Consumer"  # Celery's own ends over a message that is no task
worker_hijack_root_logger = False  # tasks.celery sends all logs through prices.logs
worker_cancel_long_running_tasks_on_connection_loss = False  # the claim judges, not the broker

broker_connection_retry_on_startup = True  # a worker may start before Redis does
broker_connection_max_retries = None  # and wait for it as long as it takes
broker_transport_options = {
    **_REDIS_TIMEOUTS,
    **_PREFIXED,
    "visibility_timeout": 3600,
    "max_retries": 1,  # a publish without broker fails within seconds, and beat tries again
    "interval_start": 0,
    "interval_step": 0.2,
    "client_name": "pricebeat:command",  # a worker, a beat and Flower say that they are those
    "max_connections": 1,  # for commands, shared by all channels of a process
}
result_backend_transport_options = {
    **_REDIS_TIMEOUTS,
    **_PREFIXED,
    "retry_policy": {"timeout": 5.0, "max_retries": 2},
}
redis_client_name = "pricebeat:command:results"
redis_max_connections = 2  # one to write, one to hear of results
redis_socket_timeout = 5
redis_socket_connect_timeout = 3
redis_socket_keepalive = True
redis_backend_health_check_interval = 30  # the first use of an old connection would fail once
task_publish_retry_policy = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
