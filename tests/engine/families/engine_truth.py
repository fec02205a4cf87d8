"""What vLLM says a replica's KV cache holds, and what the memory model plans, in the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.catalog.devices import Device
from infra.catalog.models import Model
from infra.errors import SizingError
from infra.memory import EngineSettings, size_replica
from support.engine import kept_answers


@dataclass(frozen=True)
class Case:
    """A model, the JSON files of its folder and the flags it is started with."""

    name: str
    model: Model
    files: Mapping[str, Any]
    settings: EngineSettings


@dataclass(frozen=True)
class Capacity:
    """Tokens and sequences as vLLM logs them when it starts, or the sentence of a refusal."""

    tokens: int = 0
    concurrency: float = 0.0
    refusal: str = ""


Answers = Mapping[str, Capacity]
"""What was said of each case, by its name."""

_IMPORTED = ("engine_answers.py", "engine_stand_in.py")
"""What the programs that are run by the engine's Python have in common."""


def flags(settings: EngineSettings) -> dict[str, Any]:
    """The fields of vLLM's EngineArgs, which the memory model's settings are named after; what is not given is left."""
    given = {name: value for name, value in asdict(settings).items() if value not in (None, "auto")}
    for own in ("vllm_version", "expert_parallel", "enforce_eager"):
        given.pop(own, None)
    return given


def plan(case: Case, device: Device) -> Capacity:
    """What the memory model says of a case."""
    try:
        budget = size_replica(case.model, device, case.settings)
    except SizingError as error:
        return Capacity(refusal=str(error))
    if not budget.fits:
        return Capacity(refusal=f"not one sequence of {case.settings.max_model_len} tokens fits")
    return Capacity(budget.kv_cache_tokens, budget.max_concurrency)


def built_by_vllm(python: Path, device: Device, cases: Sequence[Case]) -> Answers:
    """What vLLM's own code makes of each case without weights; a GPU is one that engine_stand_in.py pretends."""
    return _ask(python, "engine_capacity.py", _as_gpu(device), cases)


def started_by_vllm(python: Path, cases: Sequence[Case]) -> Answers:
    """What vLLM holds once it is started on this computer's processor, for each case."""
    return _ask(python, "engine_start.py", None, cases)


def _ask(python: Path, program: str, gpu: Mapping[str, Any] | None, cases: Sequence[Case]) -> Answers:
    """Asking takes minutes, so answers are kept while the engine, these programs and the cases are the same."""
    questions = [gpu, *({"files": case.files, "flags": flags(case.settings)} for case in cases)]
    script = Path(__file__).with_name(program)
    answers = kept_answers(python, script, questions, beside=map(script.with_name, _IMPORTED))
    return {case.name: _capacity(answer) for case, answer in zip(cases, answers, strict=True)}


def _capacity(answer: dict[str, Any]) -> Capacity:
    if answer["error"]:
        return Capacity(refusal=" ".join(answer["error"].split()))
    return Capacity(answer["tokens"], answer["concurrency"])


def _as_gpu(device: Device) -> dict[str, Any] | None:
    if device.kind == "cpu":
        return None
    capability = [int(part) for part in device.compute_capability.split(".")]
    return {
        "name": f"NVIDIA {device.aliases[0]}",
        "capability": capability,
        "memory_bytes": device.memory_bytes,
    }
