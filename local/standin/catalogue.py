"""Pure: the whole made-up catalogue at a moment, and the table of what is odd about which model.

The first places of the catalogue are the odd models below, in this order; all others are ordinary ones
(`ordinary.py`), which move, flap and leave by `moves.py`. The list is sorted by `created`, newest first.
"""

import json
from datetime import datetime

from local.standin.moves import step_of
from local.standin.oddities import oddity
from local.standin.ordinary import Item, ordinary

ODDITIES: dict[str, str] = {
    "~lumenforge/aurora-latest": "a tilde; an alias with `alias_target`, sharing its target's canonical_slug",
    "lumenforge/aurora-5": "its canonical_slug is shared by the seven around it",
    "lumenforge/aurora-5:thinking": "a variant with another price under the same canonical_slug",
    "lumenforge/aurora-5:beta": "a variant at the same price",
    "lumenforge/aurora-5:nitro": "a variant at twice the price",
    "lumenforge/aurora-5:extended": "a variant at the same price",
    "lumenforge/aurora-5:batch": "a variant at half the price",
    "lumenforge/aurora-5:free": "a free variant, priced zero",
    "Old_Mill/Mytho_Max-L2-13B": "capitals and underscores in the id",
    "openrouter/auto": 'a router: prompt and completion "-1", nothing known of its provider',
    "openrouter/mirage": 'a router: every key "-1"',
    "harbor-ai/pilot-lens": '"-1" on a single key (image)',
    "harbor-ai/pilot-minus": '"-0" (request)',
    "tidewater/longtail-70b": "23 fraction digits",
    "tidewater/noisy-8b": "rounding noise: 0.0000024999997201 for six hours, 0.0000025 for six hours",
    "granite-bay/two-tiers": "two `min_prompt_tokens` tiers, the second naming the prompt only",
    "deepwell/night-flash": "two UTC windows fill the day, one wraps midnight; the top level mirrors one",
    "deepwell/siesta": "one UTC window, 1200 to 1500; within it the top level hides the base price",
    "deepwell/clock-and-tier": "a window, the same window with a tier, and a tier: later entries win per key",
    "deepwell/weekdays": "a window with a further condition, `utc_days`",
    "harbor-ai/discounted": "`discount`, a number among the strings",
    "harbor-ai/not-really:free": "`:free` with a price",
    "harbor-ai/gratis-4b": "priced zero without `:free`",
    "quarry/context-zero": "context_length 0",
    "quarry/context-null": "context_length null",
    "quarry/expiring": "an expiration_date",
    "quarry/novelty": "unknown fields at the top and within pricing; a name beyond ASCII",
    "quarry/comes-and-goes": "away for the last three of every twelve hours",
    "quarry/long-gone": "away for three of every nine weeks",
    "quarry/keys-come-and-go": "has input_cache_read, or request and image, in turn every three hours",
    "quarry/slug-changer": "another canonical_slug every week",
    "glimmer/zero-hour": "falsely zero from 10:00 to 11:00 UTC",
    "glimmer/zero-weeks": "falsely zero for three of every nine weeks",
    "glimmer/tenfold-blip": "twenty times the price from 18:00 to 21:00 UTC",
    "glimmer/tenfold-genuine": "twelve times the price, and back, every other week",
    "lumenforge/omni": "every pricing key there is",
}


def items(count: int, now: datetime) -> list[Item]:
    """The rows listed at `now` (UTC): `count` models less those that are away, newest first."""
    step = step_of(now)
    odd = [oddity(slug, index, now) for index, slug in enumerate(list(ODDITIES)[:count])]
    plain = [ordinary(index, step, count) for index in range(len(odd), count)]
    return sorted((row for row in (*odd, *plain) if row is not None), key=lambda row: -int(row["created"]))


def body(count: int, now: datetime) -> bytes:
    """The list as upstream sends it when neither `offset` nor `limit` is asked for."""
    return encode(envelope(items(count, now)))


def envelope(rows: list[Item]) -> Item:
    """Upstream's envelope around a complete list."""
    return {"data": rows, "total_count": len(rows), "links": {"next": None}}


def encode(value: object) -> bytes:
    """JSON without spaces, UTF-8 unescaped, as upstream writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
