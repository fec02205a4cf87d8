"""The flags of one replica, each with its reason. What no device or version can run is refused in plan/limits.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.catalog.devices import Device
from infra.memory import EngineSettings
from infra.plan.fleet_plan import Setting

FlagValue = str | int | float | bool


@dataclass(frozen=True)
class EngineRequest:
    """What one replica's engine is asked to do, with the reasons that only the pool's plan knows."""

    device: Device
    settings: EngineSettings
    served_name: str
    host: str
    port: int
    enable_prefix_caching: bool
    shutdown_timeout_s: int
    extra_flags: Mapping[str, FlagValue]
    reasons: Mapping[str, str]


def engine_flags(request: EngineRequest) -> tuple[Setting, ...]:
    """Every flag in the order it is written: the plan's own, then the operator's (which the spec holds apart)."""
    return (
        *_endpoint(request),
        *_sizes(request),
        *_memory(request),
        *_numbers(request),
        *_extra(request.extra_flags),
    )


def _endpoint(request: EngineRequest) -> Iterator[Setting]:
    yield Setting("--served-model-name", request.served_name, "the name that clients ask for")
    yield Setting("--host", request.host, "the node's own address, so that nothing else listens")
    yield Setting("--port", str(request.port), request.reasons["port"])
    if request.shutdown_timeout_s:
        yield Setting(
            "--shutdown-timeout",
            str(request.shutdown_timeout_s),
            "seconds in which answers in flight are finished before a stop",
        )


def _sizes(request: EngineRequest) -> Iterator[Setting]:
    settings = request.settings
    yield Setting("--max-model-len", str(settings.max_model_len), request.reasons["max_model_len"])
    yield Setting("--max-num-seqs", str(settings.max_num_seqs), request.reasons["max_num_seqs"])
    if settings.tensor_parallel_size > 1:
        size = str(settings.tensor_parallel_size)
        yield Setting("--tensor-parallel-size", size, request.reasons["tensor_parallel_size"])


def _memory(request: EngineRequest) -> Iterator[Setting]:
    settings = request.settings
    if settings.kv_cache_memory_bytes is not None:
        size = str(settings.kv_cache_memory_bytes)
        yield Setting("--kv-cache-memory-bytes", size, request.reasons["kv_cache_memory"])
    elif settings.gpu_memory_utilization is not None:
        share = f"{settings.gpu_memory_utilization:g}"
        yield Setting("--gpu-memory-utilization", share, "share of each GPU that the memory plan counts on")
    reason = (
        "KV cache in the model's own dtype" if settings.kv_cache_dtype == "auto" else "engine.kv_cache_dtype"
    )
    yield Setting("--kv-cache-dtype", settings.kv_cache_dtype, reason)
    if request.enable_prefix_caching:
        yield Setting(
            "--enable-prefix-caching", "", "agents share prompts: their KV blocks are computed once"
        )
    else:
        yield Setting("--no-enable-prefix-caching", "", "switched off in engine.enable_prefix_caching")


def _numbers(request: EngineRequest) -> Iterator[Setting]:
    settings = request.settings
    if settings.quantization:
        yield Setting("--quantization", settings.quantization, "the model's quantization in the spec")
    if settings.dtype != "auto":
        yield Setting("--dtype", settings.dtype, "the model's dtype in the spec")
    if request.device.kind == "cpu":
        if "enforce-eager" not in request.extra_flags:
            yield Setting("--enforce-eager", "", "there is no GPU to record graphs for")
        yield Setting(
            "--distributed-executor-backend", "uni", "no worker of its own, which would take 0.9 GiB"
        )


def _extra(extra_flags: Mapping[str, FlagValue]) -> Iterator[Setting]:
    for name, value in extra_flags.items():
        match value:
            case True:
                yield Setting(f"--{name}", "", "engine.extra_flags")
            case False:
                yield Setting(f"--no-{name}", "", "engine.extra_flags")
            case _:
                yield Setting(f"--{name}", str(value), "engine.extra_flags")
