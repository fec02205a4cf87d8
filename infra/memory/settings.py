"""The engine settings that decide memory, named as vLLM names its flags."""

from __future__ import annotations

from dataclasses import dataclass

LATEST_VLLM = "0.32.0"


@dataclass(frozen=True)
class EngineSettings:
    """One replica's engine flags; None means that the flag is not given and vLLM's default of that version holds."""

    max_model_len: int
    vllm_version: str = LATEST_VLLM
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
