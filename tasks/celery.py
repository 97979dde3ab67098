"""The Celery application. `celery -A tasks` finds it here; its settings stand in celeryconfig.py."""

from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging

from prices.runtime.logs import configure_logs
from prices.runtime.settings import Settings
from tasks.broker import be_the_driver, name_connections, refuse_compressed

be_the_driver()
refuse_compressed()
app = Celery("tasks")
app.config_from_object("celeryconfig")


@celeryd_init.connect
def name_worker(**_rest: Any) -> None:
    """Name what a worker connects to Redis."""
    name_connections(app, "worker", commands=2)  # to put a message back it asks within a transaction


@beat_init.connect
def name_beat(**_rest: Any) -> None:
    """Name what beat connects to Redis."""
    name_connections(app, "beat", commands=1)


@setup_logging.connect
def log_as_the_rest(loglevel: int, **_rest: Any) -> None:
    """Send the logs of workers and beat through ours."""
    configure_logs(Settings.from_env().log_format, loglevel)
