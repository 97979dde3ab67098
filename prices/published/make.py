"""Brings what is published up to the database: makes a revision's bodies, and says how fresh they are."""

import hashlib
from decimal import Decimal
from typing import Final

from sqlalchemy import Engine

from prices.coordination import freshness
from prices.formats import openrouter, pricebeat
from prices.formats.format import CurrentModel, Details
from prices.formats.registry import FORMATS
from prices.history import read
from prices.published.bodies import BODIES_VERSION, Publication, Stamp
from prices.published.packing import pack
from prices.published.redis_copy import confirm, publish, read_stamp
from prices.runtime.deployment import remember
from prices.runtime.logs import log
from prices.services import Services
from prices.store.commits import knows_commit
from prices.store.database import reading
from prices.store.queries import CatalogueState, catalogue_state, documents, require_schema

NO_DETAILS: Final = Details()


def stamp(state: CatalogueState, markup: Decimal) -> Stamp:
    """Name the content that a catalogue's state stands for."""
    parts = f"{state.revision}|{state.revision_commit}|{state.body_digest}|{markup}|{BODIES_VERSION}"
    content = hashlib.sha256(parts.encode()).hexdigest()[:16]
    return Stamp(content, state.refreshed_at, state.refreshed_run_id or 0, state.refresh_commit)


def make_publication(engine: Engine, markup: Decimal) -> tuple[Stamp, Publication]:
    """Make the bodies from the database, as one state of it; the transaction waits for no packing.

    They are packed one after the other: all at once would hold each of a large list in memory.
    """
    with reading(engine) as connection:
        state = catalogue_state(connection)
        listed = documents(connection)
        prices = list(read.prices(connection, state.revision))
    models = pack(openrouter.model_list(listed, state.envelope))
    details = dict(map(Details.of, listed))
    del listed
    ours = pack(pricebeat.price_list(prices, markup, state.revision))
    current = [CurrentModel.of(price, details.get(price.slug, NO_DETAILS)) for price in prices]
    formats = {form.path: pack(form.write(current)) for form in FORMATS}
    return stamp(state, markup), Publication(state.revision, models, ours, formats, state.revision_commit)


def read_database(services: Services, known: Stamp | None) -> tuple[Stamp, Publication | None]:
    """Give what the database says is current; no publication where its content is that of `known`.

    Raises DatabaseUnavailableError or SchemaBehindError.
    """
    markup = services.settings.markup
    with reading(services.engine) as connection:
        require_schema(connection)
        state = catalogue_state(connection)
    stamped = stamp(state, markup)
    services.deployment.learn(state.deployment)
    if known is not None and known.content == stamped.content:
        return stamped, None
    return make_publication(services.engine, markup)


def publish_current(services: Services) -> None:
    """Bring the published catalogue up to the database, if it is behind, and mark the prices fresh or not.

    Raises RedisUnavailableError or DatabaseUnavailableError; what is committed stays committed.
    """
    with reading(services.engine) as connection:
        state = catalogue_state(connection)
    publish_state(services, state)


def publish_state(services: Services, state: CatalogueState) -> None:
    """Do what `publish_current` does for a state that was just read.

    What Redis holds is read before the database is asked whether it knows it. What it does not know is of a
    past that the database has lost, or of a copy of the database, and is replaced.
    """
    redis, settings = services.redis, services.settings
    keys = services.deployment.learn(state.deployment)
    fresh = freshness.fresh_left(state.refreshed_at, state.now, settings.refresh_interval)
    stamped = stamp(state, settings.markup)
    if confirm(redis, keys, stamped, state.revision, fresh):
        return
    remember(redis, keys, services.deployment.address)
    there = read_stamp(redis, keys)
    lost = there is not None and not knows(services, there)
    if there is not None and lost:
        log.warning(
            "Redis holds what this database does not know and is corrected: the database was restored, or "
            "another database with the same id, perhaps a copy, publishes in the same Redis",
            run=there.run,
            commit=there.commit,
        )
    if there and not lost and confirm(redis, keys, stamped, state.revision, fresh, instead_of=there.commit):
        return
    made = make_publication(services.engine, settings.markup)
    publish(redis, keys, *made, fresh, instead_of=there.commit if there and lost else "")


def knows(services: Services, stamp: Stamp) -> bool:
    """Ask the database whether it knows the commit of a stamp: one that it has forgotten, it does not.

    Raises DatabaseUnavailableError or SchemaBehindError.
    """
    with reading(services.engine) as connection:
        require_schema(connection)
        state = catalogue_state(connection)
        known = knows_commit(connection, stamp.run, stamp.commit)
    services.deployment.learn(state.deployment)
    return known
