"""Flower's settings, read by `celery -A tasks flower`. Flower never starts open to a network."""

import ipaddress
import sys

from tornado.options import options

address = options.address or "127.0.0.1"
max_tasks = 2000  # Flower keeps 100,000 by default: memory


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if not _is_loopback(address) and not options.auth and not any(options.basic_auth or []):
    sys.exit(
        f"flower: set FLOWER_BASIC_AUTH=user:password, or listen on 127.0.0.1; {address} is open to others"
    )
