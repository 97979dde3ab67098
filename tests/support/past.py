"""Asking a web instance for the past, and filling one with dated bodies."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from flask.testing import FlaskClient

from prices.formats.pricebeat import plain
from prices.refresh.replay import Capture, replay
from prices.runtime.settings import Settings
from prices.services import Services
from tests.support.site import Site

USED = "lumenforge/aurora-5"
"""A model of the stand-in at 2 USD per million prompt tokens, always listed."""


def instant(at: datetime) -> str:
    """A UTC time as a client writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def get(client: FlaskClient, path: str, **query: Any) -> Any:
    """The JSON of an answer that is one."""
    answer = client.get(path, query_string=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json


def in_force(entry: Any) -> dict[str, str]:
    """The price of each dimension in an answer, without trailing zeros."""
    return {
        name: "-1"
        if price["state"] == "dynamic"
        else plain(Decimal(price.get("per_token") or price["per_unit"]))
        for name, price in entry["in_force"].items()
    }


def load(site: Site, captures: list[Capture]) -> None:
    """Fill a site's catalogue from dated bodies."""
    services = Services.make(Settings.from_env(site.env))
    replay(services, captures, worker="test", twice=True)
    services.engine.dispose()
    services.redis.close()
