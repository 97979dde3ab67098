"""The Celery application. `celery -A tasks` finds it here; its settings stand in celeryconfig.py."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from prices.logs import configure_logs
from prices.settings import Settings
from tasks.broker import be_careful

be_careful()
app = Celery("tasks")
app.config_from_object("celeryconfig")


@setup_logging.connect
def log_as_the_rest(loglevel: int, **_rest: Any) -> None:
    """Send the logs of workers and beat through ours."""
    configure_logs(Settings.from_env().log_format, loglevel)
