"""Packs bodies as they are served: each encoding once per revision, never per request."""

import gzip
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import brotli
import zstandard

from prices.errors import in_full
from prices.formats import openrouter
from prices.published.redis_copy import PublishedBody, strong_etag
from prices.runtime.background import in_background
from prices.runtime.logs import log
from prices.store.queries import CatalogueState
from prices.upstream.model_list import OpenRouterList

GZIP_LEVEL, BROTLI_QUALITY, ZSTD_LEVEL = 6, 5, 6
"""Where each takes 7 to 10 ms for the list of 421 models; brotli 11 saves a fifth more and takes a second."""

WORTH_A_THREAD: Final = 64 * 1024
"""A body of so many bytes is packed beside other work: who packs lets others run."""
MOST_AHEAD: Final = 8 * 1024 * 1024
"""A body of more bytes is not packed ahead: it would be in memory while the list is committed."""


def pack(body: bytes) -> PublishedBody:
    """Pack a body in each encoding; equal bytes have equal validators everywhere."""
    return _packed(body, lambda: _br_and_zstd(body))


def begin_to_pack(body: bytes) -> Callable[[], PublishedBody]:
    """Pack a body on two cores; what this gives does the caller's part and waits for the other."""
    if len(body) < WORTH_A_THREAD:
        return lambda: pack(body)
    others = in_background(lambda: _br_and_zstd(body))
    return lambda: _packed(body, others.result)


def _packed(body: bytes, others: Callable[[], tuple[bytes, bytes]]) -> PublishedBody:
    gzipped = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return PublishedBody(strong_etag(body), gzipped, *others())


def _br_and_zstd(body: bytes) -> tuple[bytes, bytes]:
    """Pack a body in the encodings that take together as long as gzip alone."""
    return brotli.compress(body, quality=BROTLI_QUALITY), zstandard.compress(body, ZSTD_LEVEL)


class PackedAhead:
    """Upstream's list as it will be published, packed on another core while its revision is committed."""

    def __init__(self, documents: list[bytes], envelope: dict[str, Any], digest: str) -> None:
        self.documents = documents
        self._digest = digest
        self._packed = in_background(partial(pack, openrouter.model_list(documents, envelope)))

    def of(self, state: CatalogueState) -> Callable[[], PublishedBody] | None:
        """Give what waits for the packed body, where that is what the database says the catalogue is."""
        return self._packed.result if state.is_what(self._digest) else None


def pack_ahead(listed: OpenRouterList, digest: str) -> PackedAhead | None:
    """Begin to pack upstream's list, read from the body of a digest; not where a row was left out."""
    documents = [row.document for row in listed.models]
    if listed.skipped or not WORTH_A_THREAD <= sum(map(len, documents)) <= MOST_AHEAD:
        return None
    try:
        return PackedAhead(documents, listed.envelope, digest)
    except (RuntimeError, MemoryError) as error:  # no thread, no room: it can be packed when it is published
        log.warning("Upstream's list could not be packed ahead", reason=in_full(error))
        return None
