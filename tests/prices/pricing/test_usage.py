"""What a call used: each unit counted once, under whatever names it came; what cannot be is refused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.errors import UsageError
from prices.pricing.usage import MOST, read_usage
from tests.support.json_values import JSON_VALUES
from tests.support.laws import examples


def quantities(**usage: Any) -> dict[str, int]:
    """What is counted beside the one request."""
    return {name: count for name, count in read_usage(usage).quantities.items() if name != "request"}


# What upstream reports


def test_a_chat_completion_of_openrouter_is_counted_token_by_token() -> None:
    assert quantities(
        prompt_tokens=194,
        completion_tokens=20,
        total_tokens=214,
        prompt_tokens_details={"cached_tokens": 50, "cache_write_tokens": 100, "audio_tokens": 4},
        completion_tokens_details={"reasoning_tokens": 12, "image_tokens": 3, "audio_tokens": 1},
        cost=0.95,
        cost_details={"upstream_inference_cost": 19},
        is_byok=False,
        server_tool_use={"web_search_requests": 2, "tool_calls_requested": 2},
    ) == {
        "prompt": 40,
        "input_cache_read": 50,
        "input_cache_write": 100,
        "audio": 4,
        "completion": 4,
        "internal_reasoning": 12,
        "image_output": 3,
        "audio_output": 1,
        "web_search": 2,
    }


def test_the_names_of_responses_count_as_those_of_chat_completions() -> None:
    assert quantities(
        input_tokens=18014,
        output_tokens=50,
        total_tokens=18064,
        input_tokens_details={"cached_tokens": 3, "cache_write_tokens": 18000},
        output_tokens_details={"reasoning_tokens": 8},
        server_tool_use_details={"web_search_requests": 1},
    ) == {
        "prompt": 11,
        "input_cache_read": 3,
        "input_cache_write": 18000,
        "completion": 42,
        "internal_reasoning": 8,
        "web_search": 1,
    }


def test_anthropics_messages_count_what_the_cache_did_beside_the_input() -> None:
    usage = {
        "input_tokens": 21,
        "output_tokens": 30,
        "cache_read_input_tokens": 188_086,
        "cache_creation_input_tokens": 556,
        "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
        "output_tokens_details": {"thinking_tokens": 10},
    }
    assert quantities(**usage) == {
        "prompt": 21,
        "input_cache_read": 188_086,
        "input_cache_write": 456,
        "input_cache_write_1h": 100,
        "completion": 20,
        "internal_reasoning": 10,
    }
    assert read_usage(usage).prompt_tokens == 21 + 188_086 + 556


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10, "cache_read_input_tokens": 6},
        {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "cache_read_input_tokens": 6},
    ],
    ids=["chat completions", "responses"],
)
def test_where_the_whole_prompt_is_told_nothing_is_added_to_it(usage: dict[str, Any]) -> None:
    assert quantities(**usage) == {"prompt": 10}


def test_cache_writes_are_told_by_lifetime_with_or_without_their_total() -> None:
    lifetimes = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20}
    expected = {"prompt": 50, "input_cache_write": 30, "input_cache_write_1h": 20}
    assert quantities(prompt_tokens=100, cache_creation=lifetimes) == expected
    with_total = quantities(
        prompt_tokens=100, prompt_tokens_details={"cache_write_tokens": 50}, cache_creation=lifetimes
    )
    assert with_total == expected


def test_a_write_whose_lifetime_is_not_told_is_one_of_the_default_lifetime() -> None:
    assert quantities(
        prompt_tokens=100,
        prompt_tokens_details={"cache_write_tokens": 50},
        cache_creation={"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 20},
    ) == {"prompt": 50, "input_cache_write": 30, "input_cache_write_1h": 20}


def test_cached_audio_is_taken_off_both_the_cached_and_the_audio_tokens() -> None:
    details = {"audio_tokens": 90, "cached_tokens": 80, "cached_tokens_details": {"audio_tokens": 75}}
    assert quantities(input_tokens=100, input_token_details=details) == {
        "prompt": 5,
        "input_cache_read": 5,
        "input_audio_cache": 75,
        "audio": 15,
    }


def test_video_and_file_tokens_stay_in_the_prompt() -> None:
    details = {"video_tokens": 60, "file_tokens": 30, "cached_tokens": 50}
    assert quantities(prompt_tokens=100, prompt_tokens_details=details) == {
        "prompt": 50,
        "input_cache_read": 50,
    }


def test_null_is_absent_and_unknown_fields_are_ignored() -> None:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": None,
        "input_tokens": None,
        "prompt_tokens_details": None,
        "completion_tokens_details": {"reasoning_tokens": None, "accepted_prediction_tokens": "x"},
        "cache_creation": None,
        "server_tool_use": {"web_search_requests": None},
        "iterations": [{"input_tokens": -1}],
        "service_tier": "standard",
    }
    assert quantities(**usage) == {"prompt": 7}


def test_a_call_is_one_request_unless_more_are_stated() -> None:
    assert read_usage({"prompt_tokens": 1}).requests == 1
    assert read_usage({"prompt_tokens": 1, "requests": 3}).quantities["request"] == 3
    assert quantities(images=2) == {"image": 2}


# What cannot be

BAD_NUMBERS = [-1, 1.5, 5.0, float("nan"), True, "5", [], {}, Decimal("1.5"), MOST + 1, 10**5000]


@pytest.mark.parametrize(
    "number", BAD_NUMBERS, ids=lambda value: ascii(value)[:12] if value != 10**5000 else "huge"
)
@pytest.mark.parametrize(
    "path",
    [
        "prompt_tokens",
        "input_tokens",
        "completion_tokens",
        "total_tokens",
        "images",
        "requests",
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cache_write_tokens",
        "completion_tokens_details.reasoning_tokens",
        "cache_creation.ephemeral_1h_input_tokens",
        "server_tool_use.web_search_requests",
        "prompt_tokens_details.cached_tokens_details.audio_tokens",
    ],
)
def test_what_is_no_count_is_refused_by_its_name(path: str, number: object) -> None:
    usage: Any = number
    for name in reversed(path.split(".")):
        usage = {name: usage}
    least = 1 if path == "requests" else 0
    with pytest.raises(UsageError) as refused:
        read_usage({"prompt_tokens": 1} | usage)
    assert str(refused.value) == f"usage.{path}: must be a whole number from {least} to 1000000000000"


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        (None, "usage: must be an object"),
        ([], "usage: must be an object"),
        ({}, "usage: counts nothing that has a price"),
        ({"prompt_tokens": None, "total_tokens": 0}, "usage: counts nothing that has a price"),
        ({"prompt_tokens": 1, "prompt_tokens_details": 5}, "usage.prompt_tokens_details: must be an object"),
        ({"prompt_tokens": 1, "server_tool_use": "x"}, "usage.server_tool_use: must be an object"),
        (
            {"prompt_tokens": 1, "requests": 0},
            "usage.requests: must be a whole number from 1 to 1000000000000",
        ),
        (
            {"prompt_tokens": 3, "input_tokens": 4},
            "usage.input_tokens: 4 is not the 3 of usage.prompt_tokens",
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8},
            "usage.total_tokens: 8 is not the sum of 3 and 4, the prompt's and the completion's",
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 11}},
            "usage.prompt_tokens_details.cached_tokens: 11 is more than the 10 of usage.prompt_tokens",
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 5}},
            "usage.prompt_tokens: 10 is less than its parts, 6 cached_tokens + 5 cache_write_tokens",
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"audio_tokens": 6, "video_tokens": 5}},
            "usage.prompt_tokens: 10 is less than its parts, 6 audio_tokens + 5 video_tokens",
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"audio_tokens": 9, "cached_tokens": 9}},
            "usage.prompt_tokens: 10 is less than its parts, 9 cached_tokens + 9 audio_tokens",
        ),
        (
            {"output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 11}},
            "usage.output_tokens_details.reasoning_tokens: 11 is more than the 10 of usage.output_tokens",
        ),
        (
            {"completion_tokens": 1, "completion_tokens_details": {"audio_tokens": 1, "image_tokens": 1}},
            "usage.completion_tokens: 1 is less than its parts, 1 audio_tokens + 1 image_tokens",
        ),
        (
            {
                "prompt_tokens": 10,
                "prompt_tokens_details": {"cache_write_tokens": 5},
                "cache_creation": {"ephemeral_1h_input_tokens": 6},
            },
            "usage.cache_creation.ephemeral_1h_input_tokens: 6 is more than"
            " the 5 of usage.prompt_tokens_details.cache_write_tokens",
        ),
        (
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
            },
            "usage.cache_creation_input_tokens: 5 is less than its parts,"
            " 3 ephemeral_5m_input_tokens + 4 ephemeral_1h_input_tokens",
        ),
        (
            {"prompt_tokens": 10, "cache_creation": {"ephemeral_5m_input_tokens": 11}},
            "usage.cache_creation: 11 is more than the 10 of usage.prompt_tokens",
        ),
        (
            {
                "input_tokens": 10,
                "input_token_details": {
                    "cached_tokens": 5,
                    "cached_tokens_details": {"audio_tokens": 1},
                },
            },
            "usage.input_token_details.cached_tokens_details.audio_tokens: 1 is more than"
            " the 0 of usage.prompt_tokens_details.audio_tokens",
        ),
        (
            {
                "server_tool_use": {"web_search_requests": 1},
                "server_tool_use_details": {"web_search_requests": 2},
            },
            "usage.server_tool_use_details.web_search_requests: 2 is not"
            " the 1 of usage.server_tool_use.web_search_requests",
        ),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_usage_that_contradicts_itself_is_refused_by_the_field(usage: object, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_usage(usage)
    assert str(refused.value) == said


NAMES = [
    *("prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens", "images"),
    *("requests", "prompt_tokens_details", "completion_tokens_details", "cache_creation", "server_tool_use"),
    *("cached_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens", "cached_tokens_details"),
]

PROMPT = [
    *("prompt", "input_cache_read", "input_audio_cache", "input_cache_write", "input_cache_write_1h"),
    *("audio", "image_token"),
]


@settings(max_examples=examples(150))
@given(
    JSON_VALUES
    | st.recursive(
        st.integers(-1, 20) | JSON_VALUES,
        lambda values: st.dictionaries(st.sampled_from(NAMES), values, max_size=5),
        max_leaves=12,
    )
)
def test_whatever_comes_is_counted_whole_or_refused_in_one_line(usage: object) -> None:
    try:
        read = read_usage(usage)
    except UsageError as refused:
        said = str(refused)
    else:
        in_prompt = sum(read.quantities.get(name, 0) for name in PROMPT)
        said = "usage" if read.prompt_tokens == in_prompt else "some tokens are lost"
    assert said.startswith("usage")
    assert "\n" not in said
    assert len(said) < 200


# Counted once


def test_cache_writes_told_as_openai_does_keep_anthropics_reads_from_being_added_to_the_prompt() -> None:
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cache_write_tokens": 3},
        "cache_read_input_tokens": 5,
    }
    assert read_usage(usage).prompt_tokens == 10


@pytest.mark.parametrize("part", ["audio_tokens", "image_tokens", "video_tokens", "file_tokens"])
def test_no_part_of_a_prompt_is_larger_than_the_prompt(part: str) -> None:
    assert read_usage({"prompt_tokens": 10, "prompt_tokens_details": {part: 10}}).prompt_tokens == 10
    with pytest.raises(UsageError, match=part):
        read_usage({"prompt_tokens": 10, "prompt_tokens_details": {part: 11}})
