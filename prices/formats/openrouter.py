"""OpenRouter's own shape: official clients take our list as they take upstream's."""

from typing import Any

import msgspec


def model_list(documents: list[bytes], envelope: dict[str, Any]) -> bytes:
    """Write all models, each exactly as upstream sent it, in upstream's envelope.

    `total_count` and `links.next` are always there, as upstream sends them since July 2026;
    `envelope` is what upstream's own held beside `data`.
    """
    return _enveloped(documents, envelope, len(documents), None)


def model_page(documents: list[bytes], envelope: dict[str, Any], offset: int, limit: int, path: str) -> bytes:
    """Write the models from `offset` on, `limit` at most, with the link to the next page."""
    after = offset + limit
    following = f"{path}?offset={after}&limit={limit}" if after < len(documents) else None
    return _enveloped(documents[offset:after], envelope, len(documents), following)


def _enveloped(page: list[bytes], envelope: dict[str, Any], total: int, following: str | None) -> bytes:
    links = envelope.get("links")
    links = links if isinstance(links, dict) else {}
    rest = {**envelope, "total_count": total, "links": {**links, "next": following}}
    return b'{"data":[%b],%b' % (b",".join(page), msgspec.json.encode(rest)[1:])


def one_model(document: bytes) -> bytes:
    """Write one model as upstream does: alone under `data`."""
    return b'{"data":%b}' % document


def error(code: int, message: str) -> bytes:
    """Write an error as upstream does."""
    return msgspec.json.encode({"error": {"code": code, "message": message}})
