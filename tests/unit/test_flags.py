"""The flags of one replica, and what is refused instead of rendered."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.catalog.devices import device_named
from infra.memory import EngineSettings
from infra.plan.engine import min_driver
from infra.plan.flags import EngineRequest, engine_flags
from infra.plan.limits import refusal, refuse_version

REASONS = dict.fromkeys(
    ("port", "max_model_len", "max_num_seqs", "tensor_parallel_size", "kv_cache_memory"), "why"
)


def lines(device: str = "H100-SXM", extra: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    settings = EngineSettings(max_model_len=8192, max_num_seqs=75, gpu_memory_utilization=0.9)
    of_request = {
        key: changes.pop(key) for key in ("enable_prefix_caching", "shutdown_timeout_s") if key in changes
    }
    request = EngineRequest(
        device=device_named(device),
        settings=dataclasses.replace(settings, **changes),
        served_name="agent",
        host="203.0.113.7",
        port=8000,
        enable_prefix_caching=True,
        shutdown_timeout_s=60,
        extra_flags=extra or {},
        reasons=REASONS,
    )
    flags = engine_flags(dataclasses.replace(request, **of_request))
    assert all(flag.reason for flag in flags)
    return [f"{flag.name} {flag.value}".strip() for flag in flags]


def test_flags_on_a_gpu() -> None:
    assert lines() == [
        "--served-model-name agent",
        "--host 203.0.113.7",
        "--port 8000",
        "--shutdown-timeout 60",
        "--max-model-len 8192",
        "--max-num-seqs 75",
        "--gpu-memory-utilization 0.9",
        "--kv-cache-dtype auto",
        "--enable-prefix-caching",
    ]


def test_flags_on_a_lab_node() -> None:
    lab = lines("cpu-lab", gpu_memory_utilization=None, kv_cache_memory_bytes=64 << 20)
    assert lab[6:] == [
        "--kv-cache-memory-bytes 67108864",
        "--kv-cache-dtype auto",
        "--enable-prefix-caching",
        "--enforce-eager",
        "--distributed-executor-backend uni",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tensor_parallel_size": 4}, "--tensor-parallel-size 4"),
        ({"quantization": "fp8"}, "--quantization fp8"),
        ({"dtype": "bfloat16"}, "--dtype bfloat16"),
        ({"kv_cache_dtype": "fp8"}, "--kv-cache-dtype fp8"),
        ({"gpu_memory_utilization": 0.85}, "--gpu-memory-utilization 0.85"),
        ({"enable_prefix_caching": False}, "--no-enable-prefix-caching"),
        ({"extra": {"max-logprobs": 5}}, "--max-logprobs 5"),
        ({"extra": {"enable-log-requests": False}}, "--no-enable-log-requests"),
        ({"extra": {"enable-auto-tool-choice": True}}, "--enable-auto-tool-choice"),
        ({"extra": {"max-num-batched-tokens": 4096}}, "--max-num-batched-tokens 4096"),
    ],
)
def test_a_setting_becomes_its_flag(changes: dict[str, Any], line: str) -> None:
    assert line in lines(**changes)


def test_no_deadline_means_no_flag() -> None:
    assert not any("shutdown" in line for line in lines(shutdown_timeout_s=0))


def test_the_operator_may_compile_on_a_lab_node_and_is_not_contradicted() -> None:
    lab = lines(
        "cpu-lab", extra={"enforce-eager": False}, gpu_memory_utilization=None, kv_cache_memory_bytes=1 << 20
    )
    assert [line for line in lab if "enforce-eager" in line] == ["--no-enforce-eager"]


@pytest.mark.parametrize(
    ("device", "kv_cache_dtype", "quantization", "message"),
    [
        ("A100-40GB", "fp8", None, "engine.kv_cache_dtype: A100-40GB (ampere) has no fp8 KV cache: use auto"),
        ("A10", "fp8_e5m2", None, "engine.kv_cache_dtype: A10 (ampere) has no fp8_e5m2 KV cache"),
        (
            "A100-40GB",
            "auto",
            "deepseek_v4_fp8",
            "models.m.quantization: deepseek_v4_fp8 needs compute capability 9.0; A100-40GB has 8.0",
        ),
        ("T4", "auto", "mxfp4", "models.m.quantization: mxfp4 needs compute capability 8.0; T4 has 7.5"),
        (
            "H100-SXM",
            "auto",
            "nvfp4_per_token",
            "models.m.quantization: nvfp4_per_token needs compute capability 10.0",
        ),
        (
            "H100-SXM",
            "auto",
            "pf8",
            "models.m.quantization: pf8 is not a method of vLLM that agentfleet knows; did you mean",
        ),
        (
            "cpu-lab",
            "auto",
            "fp8",
            "models.m.quantization: fp8 does not run on a CPU: leave it out on nodes without a GPU",
        ),
        ("V100-16GB", "auto", None, "nodes: V100-16GB is older than the engine's kernels (7.5 and newer)"),
        ("MI300X", "auto", None, "nodes: MI300X is an AMD GPU, and the engine is locked for NVIDIA's only"),
    ],
)
def test_what_a_device_cannot_run_is_refused_by_its_key(
    device: str, kv_cache_dtype: str, quantization: str | None, message: str
) -> None:
    assert str(refusal(device_named(device), kv_cache_dtype, quantization, "m")).startswith(message)


@pytest.mark.parametrize(
    ("device", "kv_cache_dtype", "quantization"),
    [
        ("H100-SXM", "fp8", "fp8"),
        ("L40S", "fp8_e4m3", None),
        ("A100-40GB", "bfloat16", "awq"),
        ("A100-40GB", "auto", "fp8"),
        ("B200", "fp8", "modelopt_fp4"),
        ("RTX-5090", "fp8", "mxfp4"),
        ("cpu-lab", "auto", None),
        ("cpu-lab", "fp8", "awq"),
    ],
)
def test_what_a_device_can_run_is_let_through(
    device: str, kv_cache_dtype: str, quantization: str | None
) -> None:
    assert refusal(device_named(device), kv_cache_dtype, quantization, "m") is None


@pytest.mark.parametrize(
    ("version", "driver"),
    [("0.14.1", 570), ("0.19.1", 570), ("0.20.0", 580), ("0.32.0", 580), ("1.0.0", 580)],
)
def test_the_drivers_floor_follows_the_wheels_cuda(version: str, driver: int) -> None:
    assert min_driver(version) == driver


def test_a_version_without_a_graceful_stop_takes_no_deadline() -> None:
    refuse_version("0.17.1", 0)
    refuse_version("0.18.0", 60)
