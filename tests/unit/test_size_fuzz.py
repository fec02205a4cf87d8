"""Hundreds of configs, whole, truncated and mangled: each is sized or refused in a sentence, never a traceback.

The damage is drawn from a fixed seed, so that a failure comes back.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from infra.catalog.devices import device_named
from infra.catalog.models import model_from_config, model_named, model_names
from infra.errors import SizingError
from infra.memory import EngineSettings, MemoryBudget, size_replica

ODD = [
    None,
    0,
    -1,
    1,
    3,
    7.5,
    10**12,
    float("inf"),
    float("nan"),
    "",
    "x",
    True,
    False,
    [],
    [1],
    ["x"],
    {},
    {"a": 1},
]


def leaves(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in facts.items():
        yield (*path, key)
        if isinstance(value, Mapping):
            yield from leaves(value, (*path, key))


def mangled(facts: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A copy with one to three keys removed or replaced by something odd."""
    facts = copy.deepcopy(facts)
    for _ in range(dice.randint(1, 3)):
        path = dice.choice(list(leaves(facts)))
        holder = facts
        for key in path[:-1]:
            holder = holder[key]
        if dice.random() < 0.4:
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(dice.choice(ODD))
    return facts


def truncated(facts: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """Only the first part of the keys."""
    return dict(list(facts.items())[: dice.randrange(len(facts))])


def settings(dice: random.Random) -> EngineSettings:
    return EngineSettings(
        max_model_len=dice.choice([1, 2048, 8192, 131_072]),
        vllm_version=dice.choice([None, "0.6.6", "0.8.5", "0.10.2", "0.19.1", "0.25.1", "0.32.0"]),
        tensor_parallel_size=dice.choice([1, 1, 2, 3, 8, 64]),
        pipeline_parallel_size=dice.choice([1, 1, 1, 2, 5]),
        expert_parallel=dice.random() < 0.3,
        kv_cache_dtype=dice.choice(["auto", "auto", "fp8", "fp8_e5m2"]),
        quantization=dice.choice([None, None, None, "fp8", "awq"]),
    )


def sized_or_refused(facts: Mapping[str, Any], dice: random.Random) -> MemoryBudget | None:
    gpu = dice.choice(["H100", "B200", "A100 80GB", "T4", "MI300X", "GB10", "cpu-lab"])
    try:
        return size_replica(model_from_config(facts), device_named(gpu), settings(dice))
    except SizingError as caught:
        refusal = caught
    assert refusal.field
    assert "\n" not in str(refusal)
    assert len(str(refusal)) < 400
    return None


@pytest.mark.parametrize("name", model_names())
def test_whole_truncated_and_mangled_configs_are_sized_or_refused(name):
    dice = random.Random(name)  # noqa: S311 - repeatable damage, not a secret
    facts = dict(model_named(name).config)
    for damage in (lambda whole, _: whole, truncated, mangled, mangled, mangled, mangled):
        budget = sized_or_refused(damage(facts, dice), dice)
        if budget is not None:
            assert budget.weights_bytes > 0
            assert budget.kv_cache_tokens >= 0
            assert budget.interval.low_bytes <= max(0, budget.kv_cache_bytes) <= budget.interval.high_bytes


def test_a_missing_size_is_never_filled_in():
    """Each of the sizes that decide bytes is refused by name when it is gone."""
    whole = dict(model_named("meta-llama/Meta-Llama-3.1-8B").config)
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"):
        facts = {name: value for name, value in whole.items() if name != key}
        with pytest.raises(SizingError) as caught:
            size_replica(model_from_config(facts), device_named("H100"), EngineSettings(2048))
        assert caught.value.field == key
