"""Pure: what a model is like apart from its name and prices, out of 997 made-up characters."""

from functools import lru_cache
from random import Random
from typing import Any

from local.standin import words

Item = dict[str, Any]

_KINDS = 997


def traits_of(index: int) -> Item:
    """The fields that do not depend on a model's name, and its description; to be shared, not changed."""
    return _traits(index % _KINDS)


@lru_cache(maxsize=_KINDS)
def _traits(seed: int) -> Item:
    rng = Random(seed * 7919 + 17)
    inputs, outputs = rng.choice(words.MODALITIES)
    context = rng.choice(words.CONTEXTS)
    traits: Item = {
        "description": words.description(rng),
        "context_length": context,
        "architecture": {
            "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
            "input_modalities": list(inputs),
            "output_modalities": list(outputs),
            "tokenizer": rng.choice(words.TOKENIZERS),
            "instruct_type": rng.choice(words.INSTRUCT_TYPES),
        },
        "top_provider": {
            "context_length": context,
            "max_completion_tokens": rng.choice((None, context // 4)),
            "is_moderated": rng.random() < 0.25,
        },
        "per_request_limits": None,
        "supported_parameters": sorted(rng.sample(words.PARAMETERS, rng.randint(8, 20))),
        "default_parameters": {
            **dict.fromkeys(("top_k", "frequency_penalty", "presence_penalty", "repetition_penalty")),
            "temperature": rng.choice((None, 1, 0.3, 0.75)),
            "top_p": rng.choice((None, 0.95)),
        },
        "supported_voices": None,
        "knowledge_cutoff": rng.choice((None, f"{2023 + rng.randrange(3)}-06-30")),
    }
    if rng.random() < 0.5:
        traits["benchmarks"] = _benchmarks(rng)
    if rng.random() < 0.6:
        traits["reasoning"] = _reasoning(rng)
    return traits


def _benchmarks(rng: Random) -> Item:
    arena = [
        {
            "arena": "models",
            "category": category,
            "elo": rng.randint(900, 1400),
            "win_rate": rng.randint(300, 700) / 10,
            "rank": rng.randint(1, 90),
        }
        for category in rng.sample(words.ARENA_CATEGORIES, rng.randint(0, 8))
    ]
    indexes = ("intelligence_index", "coding_index", "agentic_index")
    return {"design_arena": arena, "artificial_analysis": {key: rng.randint(10, 700) / 10 for key in indexes}}


def _reasoning(rng: Random) -> Item:
    if rng.random() < 0.5:
        return {"mandatory": rng.random() < 0.5}
    return {
        "mandatory": False,
        "default_enabled": True,
        "supported_efforts": ["high", "medium", "low"],
        "default_effort": "medium",
    }
