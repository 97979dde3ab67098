"""What we show of a model beside its price, read from upstream's JSON once and kept per revision."""

from functools import lru_cache
from typing import Any

import msgspec


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """A model's name, context length (tokens, None where upstream does not say) and abilities."""

    name: str
    context_length: int | None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    reasoning: bool = False

    @staticmethod
    def of(slug: str, document: bytes) -> "Attributes":
        """Read upstream's JSON of a model; what is not of the expected kind counts as not said."""
        told = _decode(document)
        parts = (told.name, told.context_length, told.architecture, told.supported_parameters)
        return _read(slug, *map(bytes, parts))

    @staticmethod
    @lru_cache(maxsize=2048)
    def from_json(text: str) -> "Attributes":
        """Read back what `to_json` wrote; from one revision to the next most models are what they were."""
        return msgspec.json.decode(text, type=Attributes)

    def to_json(self) -> str:
        """Write one text for one value."""
        return msgspec.json.encode(self).decode()


def say_the_same(one: bytes, other: bytes) -> bool:
    """Whether two documents of a model say the same of its attributes, letter by letter."""
    return _decode(one) == _decode(other)


_NULL = msgspec.Raw(b"null")


class _Told(msgspec.Struct):
    name: msgspec.Raw = _NULL
    context_length: msgspec.Raw = _NULL
    architecture: msgspec.Raw = _NULL
    supported_parameters: msgspec.Raw = _NULL


_decode = msgspec.json.Decoder(_Told).decode


@lru_cache(maxsize=2048)
def _read(slug: str, name: bytes, length: bytes, architecture: bytes, able: bytes) -> Attributes:
    """Read what a document says; from one list to the next most models say the same."""
    called, tokens, shape, parameters = map(msgspec.json.decode, (name, length, architecture, able))
    shape = shape if isinstance(shape, dict) else {}
    return Attributes(
        called if isinstance(called, str) and called else slug,
        tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None,
        _texts(shape.get("input_modalities")),
        _texts(shape.get("output_modalities")),
        isinstance(parameters, list) and "reasoning" in parameters,
    )


def _texts(told: Any) -> tuple[str, ...]:
    return tuple(text for text in told if isinstance(text, str)) if isinstance(told, list) else ()
