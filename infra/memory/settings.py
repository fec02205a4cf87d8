"""The engine settings that decide memory, named as vLLM names its flags, and the defaults of each version."""

from __future__ import annotations

from dataclasses import dataclass

from infra.catalog.devices import Device
from infra.errors import SizingError
from infra.memory.versions import FIRST_ENGINE, LATEST_VLLM, Version, parse_version

_GIB = 1 << 30
_KV_DTYPES = {
    "auto": None,
    "bfloat16": 2,
    "float16": 2,
    "fp8": 1,
    "fp8_e4m3": 1,
    "fp8_e5m2": 1,
    "fp8_ds_mla": 1,
}
_DTYPES = {"bfloat16": 2, "float16": 2, "half": 2, "float32": 4, "float": 4}


@dataclass(frozen=True)
class EngineSettings:
    """One replica's engine flags; None means that the flag is not given and that version's default holds.

    A `vllm_version` of None means that it is not known which version runs.
    """

    max_model_len: int
    vllm_version: str | None = LATEST_VLLM
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    expert_parallel: bool = False
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_dtype: str = "auto"
    quantization: str | None = None
    dtype: str = "auto"
    enforce_eager: bool = False
    block_size: int | None = None
    kv_cache_memory_bytes: int | None = None
    enable_prefix_caching: bool | None = None
    decode_context_parallel_size: int = 1


@dataclass(frozen=True)
class Limits:
    """The settings as the engine resolves them on one device."""

    version: Version
    utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    prefix_caching_hybrid: bool


def check_settings(settings: EngineSettings) -> None:
    """Refuse values that the engine would refuse, by the flag's name."""
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "decode_context_parallel_size")
    for name in ("max_model_len", *sizes):
        _at_least_one(name, getattr(settings, name))
    for name in ("max_num_seqs", "max_num_batched_tokens", "block_size", "kv_cache_memory_bytes"):
        if getattr(settings, name) is not None:
            _at_least_one(name, getattr(settings, name))
    utilization = settings.gpu_memory_utilization
    if utilization is not None and not 0 < utilization <= 1:
        raise SizingError("gpu_memory_utilization", f"must be above 0 and at most 1, not {utilization}")
    if settings.kv_cache_dtype not in _KV_DTYPES:
        message = f"{settings.kv_cache_dtype!r} is not understood (known: {', '.join(_KV_DTYPES)})"
        raise SizingError("kv_cache_dtype", message)
    if settings.dtype != "auto" and settings.dtype not in _DTYPES:
        raise SizingError(
            "dtype", f"{settings.dtype!r} is not understood (known: auto, {', '.join(_DTYPES)})"
        )


def element_bytes(dtype: str) -> int:
    """Bytes of one number; a float32 checkpoint is loaded in 16 bits unless float32 was asked for."""
    return _DTYPES[dtype] if dtype != "auto" else 2


def stored_element_bytes(dtype: str) -> int:
    """Bytes of one number in a checkpoint that states this type."""
    return _DTYPES.get(dtype, 2)


def kv_element_bytes(kv_cache_dtype: str, model_element_bytes: int) -> int:
    """Bytes of one cached number."""
    return _KV_DTYPES[kv_cache_dtype] or model_element_bytes


def resolve_limits(settings: EngineSettings, device: Device) -> Limits:
    """vLLM's defaults for the OpenAI server (vllm/engine/arg_utils.py, config/cache.py; read in 0.8.5 to 0.32.0)."""
    version = parse_version(settings.vllm_version or LATEST_VLLM)
    if version < (0, 8, 0) or (version < (0, 11, 0) and _is_before_ampere(device)):
        version = min(version, FIRST_ENGINE)
    sequences, tokens = _batch_defaults(device, version, settings)
    max_num_seqs = settings.max_num_seqs or sequences
    batched = settings.max_num_batched_tokens or max(tokens, max_num_seqs)
    if settings.max_num_seqs is None:
        max_num_seqs = min(max_num_seqs, batched)
    return Limits(
        version=version,
        utilization=settings.gpu_memory_utilization or (0.92 if version >= (0, 20, 0) else 0.90),
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=batched,
        prefix_caching_hybrid=_or_default(settings.enable_prefix_caching, version >= (0, 27, 0)),
    )


def _batch_defaults(device: Device, version: Version, settings: EngineSettings) -> tuple[int, int]:
    if device.kind == "cpu":
        ranks = settings.tensor_parallel_size * settings.pipeline_parallel_size
        return 128 * ranks, 2048 * ranks
    if (
        version <= FIRST_ENGINE
    ):  # the first engine profiles one prompt of full length unless prefill is chunked
        return 256, max(2048, settings.max_model_len) if settings.max_model_len <= 32768 else 2048
    if version >= (0, 28, 0) and device.memory_bytes >= 160 * _GIB:
        return 1024, 16384
    small = device.memory_bytes < 70 * _GIB or ("a100" in device.name.lower() and version >= (0, 9, 0))
    return (256, 2048) if small or is_unified(device) else (1024, 8192)


def is_unified(device: Device) -> bool:
    """Whether GPU and host share one memory (Orin, Thor, DGX Spark): the driver states no size of its own there."""
    return device.compute_capability in {"8.7", "11.0", "12.1"}


def is_sm100(device: Device) -> bool:
    """Whether this is a Blackwell of the data center (B200, B300, GB200), which has kernels of its own."""
    return device.compute_capability.startswith("10.")


def _is_before_ampere(device: Device) -> bool:
    return device.generation in {"volta", "turing"}


def _or_default(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def _at_least_one(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SizingError(name, f"must be a whole number of at least 1, not {value!r}")
