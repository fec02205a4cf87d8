"""Every family of attention in every setting: vLLM and the memory model agree to the token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine_cases import AND_THE_EMPTY_BLOCK, CPU, EXACTLY_ONE_SEQUENCE, HOPPER, SETTINGS, tiny, tiny_cases
from engine_truth import Answers, Capacity, built_by_vllm, plan, started_by_vllm
from tiny_families import KNOWN, UNKNOWN

from infra.catalog.devices import device_named

# What vLLM refuses and the memory model answers: family, setting, vLLM's words.
_REFUSED = {
    ("deepseek-v2", "float32", "No valid attention backend found for cuda"),
    ("deepseek-v3", "float32", "No valid attention backend found for cuda"),
}
# Families that vLLM 0.32 does not start, and its words.
_NOT_STARTED = {"bamba": "does not dispatch through the Transformers attention interface"}


@dataclass(frozen=True)
class VllmSays:
    """Answers that come from processes at work; asking for them waits."""

    built: Mapping[str, Future[Answers]]
    started: Future[Answers]

    def on(self, device: str) -> Answers:
        """What vLLM's code makes of each case on this device."""
        return self.built[device].result()


@pytest.fixture(scope="module")
def vllm_says(engine_python: Path) -> Iterator[VllmSays]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        started = pool.submit(started_by_vllm, engine_python, [tiny(name) for name in (*KNOWN, *UNKNOWN)])
        built = {
            device: pool.submit(built_by_vllm, engine_python, device_named(device), tiny_cases())
            for device in (CPU, HOPPER)
        }
        yield VllmSays(built, started)


@pytest.mark.parametrize("device", [CPU, HOPPER])
@pytest.mark.parametrize("family", KNOWN)
def test_tokens_and_concurrency_are_those_of_vllm_in_every_setting(
    vllm_says: VllmSays, family: str, device: str
) -> None:
    expected, planned = {}, {}
    for setting in SETTINGS:
        case = tiny(family, setting)
        said, ours = vllm_says.on(device)[case.name], plan(case, device_named(device))
        if said.refusal:
            assert ours.refusal or _is_listed(family, setting, said), f"{case.name}: {said.refusal}"
            continue
        expected[setting], planned[setting] = said, ours
    assert planned == expected
    assert len(expected) >= 10


@pytest.mark.parametrize("device", [CPU, HOPPER])
@pytest.mark.parametrize("family", UNKNOWN)
def test_a_family_that_the_memory_model_does_not_know_is_refused_by_its_architecture(
    vllm_says: VllmSays, family: str, device: str
) -> None:
    case = tiny(family)
    said, ours = vllm_says.on(device)[case.name], plan(case, device_named(device))
    assert _NOT_STARTED.get(family, "") in said.refusal
    assert bool(said.refusal) == (family in _NOT_STARTED), said.refusal
    assert ours.refusal.startswith("architectures: ")


@pytest.mark.parametrize("device", [CPU, HOPPER])
def test_one_sequence_needs_a_block_more_than_its_tokens(vllm_says: VllmSays, device: str) -> None:
    short, enough = (tiny("grouped-query", edge) for edge in (EXACTLY_ONE_SEQUENCE, AND_THE_EMPTY_BLOCK))
    said = vllm_says.on(device)
    assert "KV cache is needed" in said[short.name].refusal
    assert plan(short, device_named(device)).refusal
    assert said[enough.name] == plan(enough, device_named(device)) != Capacity()


def test_the_way_without_weights_says_what_a_started_engine_says(vllm_says: VllmSays) -> None:
    started = vllm_says.started.result()
    assert {name: vllm_says.on(CPU)[name] for name in started} == started


def test_a_started_engine_of_every_family_holds_what_was_planned(vllm_says: VllmSays) -> None:
    cases = [tiny(family) for family in KNOWN]
    planned = {case.name: plan(case, device_named(CPU)) for case in cases}
    assert planned == {case.name: vllm_says.started.result()[case.name] for case in cases}


def _is_listed(family: str, setting: str, said: Capacity) -> bool:
    return any((family, setting) == (f, s) and words in said.refusal for f, s, words in _REFUSED)
