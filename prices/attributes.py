"""What we show of a model beside its price, read from upstream's JSON once and kept per revision."""

from typing import Any, Self

import msgspec


class Attributes(msgspec.Struct, frozen=True):
    """A model's name, context length (tokens, None where upstream does not say) and abilities."""

    name: str
    context_length: int | None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    reasoning: bool = False

    @classmethod
    def of(cls, slug: str, document: bytes) -> Self:
        """Read upstream's JSON of a model; what is not of the expected kind counts as not said."""
        told = _decode(document)
        name, length = told.name, told.context_length
        architecture = told.architecture if isinstance(told.architecture, dict) else {}
        return cls(
            name if isinstance(name, str) and name else slug,
            length if isinstance(length, int) and not isinstance(length, bool) else None,
            _texts(architecture.get("input_modalities")),
            _texts(architecture.get("output_modalities")),
            isinstance(told.supported_parameters, list) and "reasoning" in told.supported_parameters,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote."""
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> str:
        """Write one text for one value."""
        return msgspec.json.encode(self).decode()


class _Told(msgspec.Struct):
    name: Any = None
    context_length: Any = None
    architecture: Any = None
    supported_parameters: Any = None


_decode = msgspec.json.Decoder(_Told).decode


def _texts(told: Any) -> tuple[str, ...]:
    return tuple(text for text in told if isinstance(text, str)) if isinstance(told, list) else ()
