"""Flower's settings, read by `celery -A tasks flower`. Flower never starts open to a network.

Without a password it listens on loopback only and shows, but does nothing; with FLOWER_BASIC_AUTH
(user:password) it may listen anywhere and act, and every page but the health check asks for it.
"""

import os
import sys

from flower.inspector import Inspector
from tornado.log import app_log
from tornado.options import options

from prices.errors import SettingsError
from tasks.broker import name_connections
from tasks.celery import app
from tasks.flower_doors import (
    answer_this_machine_only,
    ask_for_password,
    is_loopback,
    name_queue_page,
    read_logins,
)

try:
    basic_auth = read_logins(os.environ, options.basic_auth)
except SettingsError as error:
    sys.exit(f"flower: {error}")

max_tasks = 2000  # Flower keeps 100,000 by default: memory
name_connections(app, "flower", commands=1)
Inspector.max_concurrency = 1  # each question that is asked at once is a connection to the broker
name_queue_page("pricebeat:flower:page")
ask_for_password()

if basic_auth or options.auth:
    address = options.address or os.environ.get("HOST", "").strip() or "0.0.0.0"  # noqa: S104 - behind a password
else:
    host = os.environ.get("HOST", "").strip()
    address = options.address or (host if is_loopback(host) else "127.0.0.1")
    if not is_loopback(address):
        sys.exit(
            f"flower: {address} is open to others: set FLOWER_BASIC_AUTH=user:password or listen on 127.0.0.1"
        )
    read_only = True
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"  # reading only, by the line above
    answer_this_machine_only()
    app_log.warning("Flower listens on %s only and only shows: FLOWER_BASIC_AUTH is not set", address)
