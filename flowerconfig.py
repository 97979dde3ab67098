"""Flower's settings, read by `celery -A tasks flower`. Flower never starts open to a network.

Without a password it listens on loopback only and shows, but does nothing; with FLOWER_BASIC_AUTH
(user:password) it may listen anywhere and act, and every page but the health check asks for it.
"""

import ipaddress
import os
import sys

from flower.views.monitor import Metrics
from tornado.options import options
from tornado.web import authenticated

address = options.address or "127.0.0.1"
max_tasks = 2000  # Flower keeps 100,000 by default: memory

Metrics.get = authenticated(Metrics.get)  # Flower leaves it open, and it names workers and tasks


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if not options.auth and not any(":" in login for login in options.basic_auth or []):
    if not _is_loopback(address):
        sys.exit(
            f"flower: {address} is open to others: set FLOWER_BASIC_AUTH=user:password or listen on 127.0.0.1"
        )
    read_only = True
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"  # reading only, by the line above
