"""Pure: one ordinary model of the made-up catalogue, in upstream's full shape."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from local.standin import words
from local.standin.moves import Pricing, factor, flapped, is_away, plain
from local.standin.traits import traits_of

Item = dict[str, Any]

_NEWEST = datetime(2026, 7, 30, 9, tzinfo=UTC)
_PER_MILLION = (
    "0.02",
    "0.05",
    "0.1",
    "0.15",
    "0.25",
    "0.3",
    "0.5",
    "0.8",
    "1",
    "1.25",
    "2",
    "2.5",
    "3",
    "5",
    "15",
)
_MILLION = Decimal(1_000_000)
_SHARED = (
    "top_provider",
    "per_request_limits",
    "supported_parameters",
    "default_parameters",
    "supported_voices",
    "knowledge_cutoff",
)
_VARIANTS = {6: ":free", 13: ":batch"}  # of fourteen models in a row, variants of the one before


def ordinary(index: int, step: int, count: int) -> Item | None:
    """The ordinary model number `index` of `count` at a three-hour step, or None while it is away."""
    variant = _VARIANTS.get(index % 14, "")
    if is_away(index, step, batch=variant == ":batch"):
        return None
    base = index - 1 if variant else index
    scale = {"": Decimal(1), ":free": Decimal(0), ":batch": Decimal("0.5")}[variant]
    prices = flapped(_pricing(base, scale * factor(base, step, count)), index, step)
    return item(_slug(base), base, prices, variant=variant)


def item(slug: str, index: int, pricing: Pricing, *, variant: str = "") -> Item:
    """A model's row around its `pricing`; `index` seeds everything that the `slug` does not say."""
    vendor, _, short = slug.partition("/")
    name = short.replace("-", " ").replace("_", " ").title()
    created = _NEWEST - timedelta(hours=37 * (index % 500), minutes=index // 500)
    canonical = f"{slug}-{created:%Y%m%d}"
    traits = traits_of(index)
    return {
        "id": slug + variant,
        "canonical_slug": canonical,
        "hugging_face_id": (None, "", f"{vendor}/{name.replace(' ', '-')}")[index % 3],
        "name": f"{vendor.title()}: {name}" + (f" ({variant[1:]})" if variant else ""),
        "created": int(created.timestamp()),
        "description": f"{name} {traits['description']}".replace("VENDOR", vendor.title()),
        "context_length": traits["context_length"],
        "architecture": traits["architecture"],
        "pricing": pricing,
        **{key: traits[key] for key in _SHARED},
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{canonical}/endpoints"},
        **{key: traits[key] for key in ("benchmarks", "reasoning") if key in traits},
    }


def _slug(index: int) -> str:
    serial, vendor = divmod(index, len(words.VENDORS))
    version, family = divmod(serial, len(words.FAMILIES))
    size = words.SIZES[index % 7 + vendor % 4]
    return (
        f"{words.VENDORS[vendor]}/{words.FAMILIES[(family + vendor) % 20]}-{version + 1}.{family % 4}-{size}"
    )


def _pricing(index: int, scale: Decimal) -> Pricing:
    rng = Random(index * 104729 + 5)
    prompt = Decimal(rng.choice(_PER_MILLION)) / _MILLION * scale
    completion = prompt * rng.choice((1, 2, 3, 4, 5, 8))
    tokens = {"prompt": prompt, "completion": completion}
    optional = (
        (0.54, "input_cache_read", prompt / 10),
        (0.17, "input_cache_write", prompt * Decimal("1.25")),
        (0.06, "input_cache_write_1h", prompt * 2),
        (0.06, "image", prompt),
        (0.06, "audio", prompt * 2),
        (0.05, "internal_reasoning", completion),
    )
    tokens.update((key, price) for share, key, price in optional if rng.random() < share)
    prices: Pricing = {key: plain(price) for key, price in tokens.items()}
    if rng.random() < 0.29:
        prices["web_search"] = rng.choice(("0.01", "0.014", "0.005")) if scale else "0"
    if rng.random() < 0.12 and scale:
        tier = {
            key: plain(price * 2)
            for key, price in tokens.items()
            if key not in {"image", "internal_reasoning"}
        }
        prices["overrides"] = [{"min_prompt_tokens": rng.choice((128000, 200000, 272000)), **tier}]
    return prices
