"""Every model of the catalog at full size: vLLM and the memory model agree to the token, on real devices' terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine_cases import BLACKWELL, CPU, HOPPER, full_size_cases
from engine_truth import Answers, Capacity, Case, built_by_vllm, plan

from infra.catalog.devices import device_named

VllmSays = Callable[[str], Answers]

# Why vLLM builds no model from a config, by its words: on any device, and for want of kernels on one.
_NO_CLASS = (
    "Transformers does not recognize this architecture",  # the checkpoint brings its own code
    "contains custom code which must be executed",
    "are not supported for now",
)
_NO_KERNEL = {
    # 8-bit caches of sparse latent attention wait for a FlashInfer that is not out everywhere.
    HOPPER: ("No valid attention backend found for cuda", "No module named 'vllm._flashkda_C'"),
    BLACKWELL: ("No module named 'vllm._flashkda_C'",),
    CPU: (
        "Failed to find a kernel that can implement the",
        r"No (NvFp4|MXFP4|WNA16) MoE backend supports the deployment configuration",
        "Forced NVFP4 kernel MarlinNvFp4LinearKernel is not supported",
        "Sparse Attention is not supported on CPU",
        "is_act_and_mul=False is supported only for CUDA",
    ),
}
# What vLLM takes and the memory model refuses, with the start of its sentence: never wrong, but still to be learnt.
_STRICTER = {
    "deepseek-ai/DeepSeek-V4.*|nvidia/DeepSeek-V4.*": "architectures: ",
    # From 0.30 on vLLM refines the scales of experts whose blocks the ranks do not divide.
    "MiniMaxAI/MiniMax-M2.*|Qwen/Qwen3-(235B-A22B|30B-A3B)-FP8|XiaomiMiMo/MiMo-V2-Flash": "tensor_parallel_size: ",
    "nvidia/Gemma-4-26B-A4B-NVFP4|nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4": "tensor_parallel_size: ",
}
# Configs that are no running model: quantized, but without a quant_method, so that vLLM expects 16-bit weights.
_UNUSABLE = ("Qwen/Qwen3-32B-FP8-Static-PerTensor",)


@pytest.fixture(scope="module")
def vllm_says(engine_python: Path) -> Iterator[VllmSays]:
    """What vLLM's code makes of each case on a device; asking waits for the processes at work."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = {
            device: pool.submit(built_by_vllm, engine_python, device_named(device), _cases(device))
            for device in (HOPPER, CPU, BLACKWELL)
        }
        yield lambda device: answers[device].result()


@pytest.mark.parametrize(("device", "least"), [(HOPPER, 265), (CPU, 75), (BLACKWELL, 24)])
def test_every_model_that_vllm_builds_holds_the_tokens_that_were_planned(
    vllm_says: VllmSays, device: str, least: int
) -> None:
    compared, expected, planned = 0, {}, {}
    for case in _cases(device):
        said, ours = vllm_says(device)[case.name], plan(case, device_named(device))
        if said.refusal or _is_stricter(case, ours):
            continue
        compared += 1
        if said != ours:
            expected[case.name], planned[case.name] = said, ours
    assert planned == expected
    assert compared >= least


@pytest.mark.parametrize("device", [HOPPER, CPU, BLACKWELL])
def test_what_vllm_does_not_build_is_refused_too_or_understood(vllm_says: VllmSays, device: str) -> None:
    refusals = {case.name: vllm_says(device)[case.name].refusal for case in _cases(device)}
    surprising = {
        case.name: refusals[case.name]
        for case in _cases(device)
        if refusals[case.name]
        and not plan(case, device_named(device)).refusal
        and not _is_understood(device, refusals[case.name])
    }
    assert surprising == {}


def _cases(device: str) -> list[Case]:
    return [case for case in full_size_cases(device) if case.model.name not in _UNUSABLE]


def _is_stricter(case: Case, ours: Capacity) -> bool:
    return any(
        re.fullmatch(names, case.model.name) and ours.refusal.startswith(words)
        for names, words in _STRICTER.items()
    )


def _is_understood(device: str, refusal: str) -> bool:
    return any(re.search(words, refusal) for words in (*_NO_CLASS, *_NO_KERNEL[device]))
