"""Upstream's bodies as tests write them: a few models, each with as little as it needs."""

import json
from typing import Any

from prices.pricing.schedule import PriceSchedule
from prices.upstream.model_list import OpenRouterList, parse


def model(slug: str, prompt: object = "0.000001", completion: object = "0.000002", **more: Any) -> Any:
    """One row of upstream's list; `pricing` adds dimensions to its price."""
    pricing = {"prompt": prompt, "completion": completion} | more.pop("pricing", {})
    return {"id": slug, "name": slug.title(), "pricing": pricing} | more


def body(*models: Any, **envelope: Any) -> bytes:
    """Upstream's body around rows, written without spaces as upstream does, or JSON texts already."""
    rows = [
        row if isinstance(row, bytes) else json.dumps(row, separators=(",", ":")).encode() for row in models
    ]
    rest = json.dumps(envelope)[1:].encode() if envelope else b"}"
    return b'{"data":[%b]%b%b' % (b",".join(rows), b"," if envelope else b"", rest)


def listed(*models: Any, **envelope: Any) -> OpenRouterList:
    """The same, as read."""
    return parse(body(*models, **envelope))


def schedule(*overrides: dict[str, Any], **base: Any) -> PriceSchedule:
    """A schedule of 2 and 8 USD per million tokens; `base` adds to it or replaces."""
    pricing: dict[str, Any] = {"prompt": "0.000002", "completion": "0.000008"} | base
    return PriceSchedule.parse(pricing | ({"overrides": list(overrides)} if overrides else {}))
