"""Connections of a worker's processes between refreshes: the next may be hours away, so none is kept open."""

from typing import Any

from celery.signals import task_postrun

from tasks.broker import close_commands
from tasks.refresh import services


@task_postrun.connect
def close_connections(sender: Any, retval: Any, **_rest: Any) -> None:
    """Close what a refresh used. One that was skipped keeps it: it may be one of many that wait."""
    if sender.name != "refresh_prices" or (isinstance(retval, dict) and retval.get("outcome") == "skipped"):
        return
    for redis in (services().redis, sender.backend.client):
        redis.connection_pool.disconnect(inuse_connections=False)
    close_commands()
