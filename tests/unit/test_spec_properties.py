"""What holds for every text: parse gives a spec or its problems, and each problem has a place and a sentence."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import Problem, SpecError
from infra.spec import parse
from infra.spec.compose import read_yaml

STACKS = Path(__file__).resolve().parents[2] / "stacks"
TEXTS = [
    (STACKS / name).read_text(encoding="utf-8") for name in ("stage1.fleet.yaml", "production.fleet.yaml")
]
VALUES = [read_yaml(text).root.value for text in TEXTS]

repeatable = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.from_regex(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", fullmatch=True)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["yes", "5", "1_000", "0.0.0.0/0", "64MB", "ssh-ed25519 AAAA", "../..", "${x}", "[key]", "a.b"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below `value`."""
    keys: list[Any] = list(value) if isinstance(value, dict) else []
    keys += range(len(value)) if isinstance(value, list) else []
    return [found for key in keys for found in ((*path, key), *places(value[key], (*path, key)))]


@st.composite
def mutated_values(draw: st.DrawFn) -> Any:
    """A sound spec with up to four values replaced, removed or added."""
    spec = deepcopy(draw(st.sampled_from(VALUES)))
    for _ in range(draw(st.integers(1, 4))):
        *above, key = draw(st.sampled_from(places(spec)))
        parent = spec
        for step in above:
            parent = parent[step]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del parent[key]
        elif change == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=10))] = draw(anything)
        else:
            parent[key] = draw(anything)
    return spec


@st.composite
def mutated_texts(draw: st.DrawFn) -> str:
    """A sound spec's text with up to four pieces cut out or put in."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 12))
        piece = draw(
            st.sampled_from(list("\t\n:-#&*!|>'\"{}[],?%@` \\\x00\ufeff\u2028é")) | st.text(max_size=5)
        )
        text = text[:start] + piece + text[end:]
    return text


@st.composite
def sound_values(draw: st.DrawFn) -> dict[str, Any]:
    """A spec without a mistake, by lab or by SSH."""
    model, pool, lab = draw(names), draw(names), draw(st.booleans())
    hosts = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return {
        "name": draw(names),
        "workload": {
            "topology": "flat",
            "agents": draw(st.integers(1, 10_000)),
            "workflows": draw(st.integers(1, 1_000_000)),
            "context_tokens": draw(st.integers(128, 10_000_000)),
        },
        "models": {
            model: {"config": "tiny-llama", "weights": {"generated": "tiny-llama"} if lab else {"path": "/m"}}
        },
        "pools": {pool: {"model": model, "role": "agent", "replicas": draw(st.none() | st.integers(1, 64))}},
        "nodes": {
            "source": "lab" if lab else "ssh",
            **(
                {
                    "lab": {
                        "count": draw(st.integers(1, 32)),
                        "kv_cache_memory": f"{draw(st.integers(1, 2**20))}MiB",
                    }
                }
                if lab
                else {}
            ),
            "hosts": []
            if lab
            else [
                {
                    "name": name,
                    "address": f"{name}.example.net",
                    "device": "H100-SXM",
                    "devices": draw(st.integers(1, 16)),
                    "price_per_hour": draw(st.none() | st.floats(0.01, 1000)),
                }
                for name in hosts
            ],
        },
        "engine": {
            "gpu_memory_utilization": draw(st.floats(0.1, 0.98)),
            "extra_flags": {"max-logprobs": draw(st.integers())},
        },
        "access": {"clients": [f"198.51.{draw(st.integers(0, 255))}.0/24"]},
    }


def problems_in(text: str) -> tuple[Problem, ...]:
    """What is wrong with a text; anything but SpecError is a failure of the test."""
    try:
        parse(text, "fleet.yaml")
    except SpecError as error:
        return error.problems
    return ()


def check_wording(problem: Problem) -> None:
    """One line, and none of the words of the libraries beneath."""
    assert str(problem).isprintable()
    assert not any(word in problem.message for word in ("Input should", "is not understood", "Value error"))


@settings(repeatable, max_examples=400)
@given(mutated_values())
def test_any_change_of_a_value_gives_a_spec_or_its_problems(values: Any) -> None:
    for problem in problems_in(json.dumps(values, indent=1)):
        check_wording(problem)
        if not problem.line:
            assert problem.path.partition(".")[0] not in values, (
                "only what is nowhere in the file has no line"
            )


@settings(repeatable, max_examples=400)
@given(mutated_texts())
def test_any_change_of_the_text_gives_a_spec_or_its_problems(text: str) -> None:
    for problem in problems_in(text):
        check_wording(problem)
        assert problem.line <= text.count("\n") + 1


@settings(repeatable, max_examples=200)
@given(st.text() | st.text(alphabet="ab:-[]{}&*!<>|\"'#,? \n\t0"))
def test_any_text_at_all_gives_its_problems(text: str) -> None:
    assert problems_in(text)


@repeatable
@given(sound_values())
def test_a_sound_spec_survives_being_written_and_read_again(values: dict[str, Any]) -> None:
    spec = parse(json.dumps(values), "fleet.yaml")

    assert parse(json.dumps(spec.model_dump(mode="json")), "again.yaml") == spec
