"""What a device or an engine version cannot run, refused before anything is placed and named by its key in the spec."""

from __future__ import annotations

import difflib

from infra.catalog.devices import Device
from infra.errors import SizingError
from infra.plan.engine import version_tuple

FP8_KV_CAPABILITY = 8.9
"""FP8 KV cache needs Ada, Hopper or newer: e4m3 fails on Ampere (vllm 26431), e5m2 runs on some of its backends only
(vllm 3965), so Ampere is refused whole."""

OLDEST_CAPABILITY = 7.5
"""The CUDA 13 build of torch 2.13 holds kernels for sm_75 and newer (its get_arch_list)."""

SHUTDOWN_TIMEOUT_SINCE = "0.18.0"
"""vllm 34730; before it a stop cuts every answer in flight short."""

GATE_SINCE = "0.24.0"
"""First version whose vllm:cache_config_info carries kv_cache_size_tokens."""

_QUANTIZATION_CAPABILITY = {
    "auto_awq": 7.5, "auto_gptq": 7.5, "awq": 7.5, "awq_marlin": 7.5, "compressed-tensors": 7.5, "fp8": 7.5,
    "fp8_per_block": 7.5, "fp8_per_channel": 7.5, "fp8_per_tensor": 7.5, "gptq": 7.5, "gptq_marlin": 7.5,
    "humming": 7.5, "int8_per_channel_weight_only": 7.5, "modelopt_fp4": 7.5, "modelopt_mixed": 7.5, "moe_wna16": 7.5,
    "torchao": 7.5,
    "experts_int8": 8.0, "fbgemm_fp8": 8.0, "gpt_oss_mxfp4": 8.0, "modelopt": 8.0, "modelopt_mxfp8": 8.0, "mxfp4": 8.0,
    "deepseek_v4_fp8": 9.0, "fp_quant": 10.0, "mxfp8": 10.0, "nvfp4_per_token": 10.0,
}  # fmt: skip
"""Least compute capability by method: get_min_capability in vLLM 0.32.0's model_executor/layers/quantization, not below
OLDEST_CAPABILITY; the last four from the kernels that they need."""

_LEAST_BATCHED_TOKENS = 2048

_ON_CPU = frozenset({"awq", "gptq", "auto_awq", "auto_gptq", "compressed-tensors"})
"""Methods with a CPU kernel in 0.32.0; the others end the engine's start."""


def refuse_version(version: str, shutdown_timeout_s: int) -> None:
    """SizingError for a setting that this version has no flag for."""
    if shutdown_timeout_s and version_tuple(version) < version_tuple(SHUTDOWN_TIMEOUT_SINCE):
        raise SizingError(
            "engine.shutdown_timeout_s",
            f"vLLM {version} cannot finish answers before it stops (that came with {SHUTDOWN_TIMEOUT_SINCE}): "
            "set 0, or a newer engine.version",
        )


def refusal(device: Device, kv_cache_dtype: str, quantization: str | None, model: str) -> SizingError | None:
    """Why this device cannot run the model as the spec asks, or None."""
    return (
        _device_refusal(device)
        or _kv_refusal(device, kv_cache_dtype)
        or _method_refusal(device, quantization, model)
    )


def _device_refusal(device: Device) -> SizingError | None:
    if device.generation.startswith(("cdna", "rdna")):
        return SizingError(
            "nodes", f"{device.name} is an AMD GPU, and the engine is locked for NVIDIA's only"
        )
    if device.kind == "gpu" and float(device.compute_capability) < OLDEST_CAPABILITY:
        return SizingError(
            "nodes", f"{device.name} is older than the engine's kernels ({OLDEST_CAPABILITY} and newer)"
        )
    return None


def _kv_refusal(device: Device, kv_cache_dtype: str) -> SizingError | None:
    if not kv_cache_dtype.startswith("fp8") or device.kind == "cpu":
        return None
    if float(device.compute_capability) >= FP8_KV_CAPABILITY:
        return None
    return SizingError(
        "engine.kv_cache_dtype",
        f"{device.name} ({device.generation}) has no {kv_cache_dtype} KV cache: use auto, or Ada, Hopper and newer",
    )


def _method_refusal(device: Device, method: str | None, model: str) -> SizingError | None:
    if method is None:
        return None
    field = f"models.{model}.quantization"
    least = _QUANTIZATION_CAPABILITY.get(method)
    if least is None:
        near = difflib.get_close_matches(method, _QUANTIZATION_CAPABILITY, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        return SizingError(field, f"{method} is not a method of vLLM that agentfleet knows{hint}")
    if device.kind == "cpu":
        return (
            None
            if method in _ON_CPU
            else SizingError(field, f"{method} does not run on a CPU: leave it out on nodes without a GPU")
        )
    if float(device.compute_capability) < least:
        return SizingError(
            field, f"{method} needs compute capability {least}; {device.name} has {device.compute_capability}"
        )
    return None


def refuse_sequences(pool: str, max_num_seqs: int | None, batched_tokens: object) -> None:
    """SizingError for more sequences than one step has tokens; vLLM would refuse to start.

    Unless stated, a step has 2048 tokens on the smallest devices (0.32.0, arg_utils.get_batch_defaults).
    """
    most = batched_tokens if isinstance(batched_tokens, int) else _LEAST_BATCHED_TOKENS
    if max_num_seqs is not None and max_num_seqs > most:
        raise SizingError(
            f"pools.{pool}.max_num_seqs",
            f"{max_num_seqs} sequences need as many tokens in a step, and it has {most}: lower it, or set "
            "engine.extra_flags.max-num-batched-tokens",
        )
