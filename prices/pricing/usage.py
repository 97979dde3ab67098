"""Usage: what a call used, read strictly from what OpenAI's and OpenRouter's APIs report about it.

Chat Completions name the sides `prompt_tokens` and `completion_tokens`, Responses `input_tokens` and
`output_tokens`; the parts stand in `..._details`, and both count them within the whole: cached tokens
and cache writes in the prompt, reasoning in the completion. Only Anthropic's Messages counts
`cache_read_input_tokens` and `cache_creation_input_tokens` beside `input_tokens`. Cached tokens are not
audio unless `cached_tokens_details` says so. A field that is not named here is ignored and null is
absent; `images` and `requests` (1 unless given) are ours, as no API reports them.
Sources: ChatUsage, Usage, AnthropicUsage and ServerToolUseDetails in https://openrouter.ai/openapi.yaml;
https://openrouter.ai/docs/guides/best-practices/prompt-caching;
https://platform.claude.com/docs/en/build-with-claude/prompt-caching.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prices.errors import UsageError

MOST = 10**12
"""More units than any bill counts: above it stands a mistake."""

IN_PROMPT = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
IN_COMPLETION = ("completion_tokens_details", "output_tokens_details", "output_token_details")
"""Where the parts of a side stand; the last is how OpenAI's Realtime spells it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What calls used: each unit counted once, under the dimension that names it most closely.

    `prompt_tokens` are all of the prompt's, whatever their dimension: tiers go by them.
    """

    quantities: Mapping[str, int]
    prompt_tokens: int
    requests: int


class _Count(NamedTuple):
    path: str
    number: int
    given: bool


def read_usage(usage: object) -> Usage:
    """Read a `usage` as decoded from JSON. Raises UsageError that names the field."""
    prompt, in_prompt = _prompt(usage)
    completion, in_completion = _completion(usage)
    (searches,) = _parts(usage, ("server_tool_use", "server_tool_use_details"), "web_search_requests")
    images, requests = _count(usage, "images"), _count(usage, "requests", least=1)
    alone = {"image": images, "web_search": searches, "request": requests}
    if not any(count.given for count in (prompt, completion, *alone.values())):
        raise UsageError("usage: counts nothing that has a price")
    total = _count(usage, "total_tokens")
    if total.given and total.number != prompt.number + completion.number:
        told = f"{total.number} is not the sum of {prompt.number} and {completion.number}"
        raise UsageError(f"usage.total_tokens: {told}, the prompt's and the completion's")
    counted = in_prompt | in_completion | {dimension: count.number for dimension, count in alone.items()}
    used = {dimension: number for dimension, number in counted.items() if number}
    return Usage(used, prompt.number, used["request"])


def _prompt(usage: object) -> tuple[_Count, dict[str, int]]:
    """Count the whole prompt, and its tokens by dimension."""
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    cached, written, cached_audio = _parts(
        usage, IN_PROMPT, "cached_tokens", "cache_write_tokens", "cached_tokens_details.audio_tokens"
    )
    audio, image, video, file = _parts(
        usage, IN_PROMPT, "audio_tokens", "image_tokens", "video_tokens", "file_tokens"
    )
    if prompt.path == "input_tokens" and not (cached.given or written.given):
        cached = _count(usage, "cache_read_input_tokens")
        written = _count(usage, "cache_creation_input_tokens")
        prompt = prompt._replace(number=prompt.number + cached.number + written.number)
    short, long = _parts(usage, ("cache_creation",), "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    if not written.given:
        written = written._replace(path="cache_creation", number=short.number + long.number)
    _rest(prompt, audio, image, video, file)
    fresh_audio = audio._replace(number=_rest(audio, cached_audio))
    _rest(written, short, long)
    return prompt, {
        "prompt": _rest(prompt, cached, written, fresh_audio, image),
        "input_cache_read": _rest(cached, cached_audio),
        "input_audio_cache": cached_audio.number,
        "input_cache_write": _rest(written, long),
        "input_cache_write_1h": long.number,
        "audio": fresh_audio.number,
        "image_token": image.number,
    }


def _completion(usage: object) -> tuple[_Count, dict[str, int]]:
    """Count the whole completion, and its tokens by dimension."""
    completion = _count(usage, "completion_tokens", "output_tokens")
    reasoning, audio, image = _parts(usage, IN_COMPLETION, "reasoning_tokens", "audio_tokens", "image_tokens")
    if not reasoning.given:
        reasoning = _count(usage, "output_tokens_details.thinking_tokens")
    return completion, {
        "completion": _rest(completion, reasoning, audio, image),
        "internal_reasoning": reasoning.number,
        "audio_output": audio.number,
        "image_output": image.number,
    }


def _parts(usage: object, objects: tuple[str, ...], *names: str) -> list[_Count]:
    return [_count(usage, *(f"{one}.{name}" for one in objects)) for name in names]


def _count(usage: object, *paths: str, least: int = 0) -> _Count:
    """Read a number that may stand under several names, which then agree; absent, it is `least`."""
    found: list[tuple[str, int]] = []
    for path in paths:
        if (value := _at(usage, path)) is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST:
            raise UsageError(f"usage.{path}: must be a whole number from {least} to {MOST}")
        if found and value != found[0][1]:
            raise UsageError(f"usage.{path}: {value} is not the {found[0][1]} of usage.{found[0][0]}")
        found.append((path, value))
    return _Count(*found[0], given=True) if found else _Count(paths[0], least, given=False)


def _at(usage: object, path: str) -> object:
    """Follow a dotted path. Raises UsageError where something on the way is no object."""
    value, place = usage, "usage"
    for name in path.split("."):
        if not isinstance(value, Mapping):
            raise UsageError(f"{place}: must be an object")
        if (value := value.get(name)) is None:
            return None
        place += f".{name}"
    return value


def _rest(whole: _Count, *parts: _Count) -> int:
    """Take parts off their whole. Raises UsageError where they are more than it."""
    for part in parts:
        if part.number > whole.number:
            told = f"{part.number} is more than the {whole.number} of usage.{whole.path}"
            raise UsageError(f"usage.{part.path}: {told}")
    if (rest := whole.number - sum(part.number for part in parts)) < 0:
        told = " + ".join(f"{part.number} {part.path.rpartition('.')[2]}" for part in parts if part.number)
        raise UsageError(f"usage.{whole.path}: {whole.number} is less than its parts, {told}")
    return rest
