"""Brings what is published up to the database: makes a revision's bodies, and says how fresh they are."""

import gzip
import hashlib
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial

import brotli
import zstandard
from redis import Redis
from sqlalchemy import Engine

from prices import freshness, history
from prices.database import reading
from prices.formats import openrouter, pricebeat
from prices.publication import BODIES_VERSION, Publication, PublishedBody, Stamp, confirm, publish
from prices.queries import CatalogueState, catalogue_state, documents, require_schema
from prices.settings import Settings

GZIP_LEVEL, BROTLI_QUALITY, ZSTD_LEVEL = 6, 5, 6
"""Where each takes 7 to 10 ms for the list of 421 models; brotli 11 saves a fifth more and takes a second."""

WORTH_THREADS = 64 * 1024
"""A body of so many bytes may be packed in all encodings side by side: each lets the others run."""


def stamp(state: CatalogueState, markup: Decimal) -> Stamp:
    """Name the content that a catalogue's state stands for."""
    parts = f"{state.revision}|{state.body_digest}|{markup}|{BODIES_VERSION}"
    return Stamp(hashlib.sha256(parts.encode()).hexdigest()[:16], state.refreshed_at)


def pack(body: bytes, pool: ThreadPoolExecutor | None = None) -> PublishedBody:
    """Pack a body in each encoding, in a pool side by side; equal bytes have equal validators everywhere."""
    etag = f'"{hashlib.blake2b(body, digest_size=10).hexdigest()}"'
    packers = (
        partial(gzip.compress, body, GZIP_LEVEL, mtime=0),
        partial(brotli.compress, body, quality=BROTLI_QUALITY),
        partial(zstandard.compress, body, ZSTD_LEVEL),
    )
    each = pool.map if pool else map
    return PublishedBody(etag, *each(lambda packer: packer(), packers))


def make_publication(engine: Engine, markup: Decimal) -> tuple[Stamp, Publication]:
    """Make the bodies from the database, as one state of it; the transaction waits for no packing.

    Upstream's body is packed on another core while ours is made.
    """
    with ThreadPoolExecutor(3) as pool:
        with reading(engine) as connection:
            state = catalogue_state(connection)
            models = pool.submit(pack, openrouter.model_list(documents(connection), state.envelope))
            prices = history.prices(connection, state.revision)
            ours = pricebeat.price_list(prices, markup, state.revision)
        packed = pack(ours, pool if len(ours) >= WORTH_THREADS else None)
        return stamp(state, markup), Publication(state.revision, models.result(), packed)


def read_database(engine: Engine, markup: Decimal, known: Stamp | None) -> tuple[Stamp, Publication | None]:
    """Give what the database says is current; no publication where its content is that of `known`.

    Raises DatabaseUnavailableError or SchemaBehindError.
    """
    with reading(engine) as connection:
        require_schema(connection)
        stamped = stamp(catalogue_state(connection), markup)
    if known is not None and known.content == stamped.content:
        return stamped, None
    return make_publication(engine, markup)


def publish_current(redis: Redis, engine: Engine, settings: Settings) -> None:
    """Bring the published catalogue up to the database, if it is behind, and mark the prices fresh or not.

    Raises RedisUnavailableError or DatabaseUnavailableError; what is committed stays committed.
    """
    with reading(engine) as connection:
        state = catalogue_state(connection)
    publish_state(redis, engine, settings, state)


def publish_state(redis: Redis, engine: Engine, settings: Settings, state: CatalogueState) -> None:
    """Do what `publish_current` does for a state that was just read."""
    fresh = freshness.fresh_left(state.refreshed_at, state.now, settings.refresh_interval)
    if confirm(redis, stamp(state, settings.markup), state.revision, fresh):
        return
    publish(redis, *make_publication(engine, settings.markup), fresh)
