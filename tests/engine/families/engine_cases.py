"""Which models and settings are put to vLLM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine_truth import Case
from tiny_families import KNOWN, UNKNOWN

import infra.catalog.models as catalog
from infra.memory import EngineSettings

CPU, HOPPER, BLACKWELL = "cpu-lab", "H100-SXM", "B200"
MIB = 1 << 20

_PLAIN = EngineSettings(max_model_len=4096, kv_cache_memory_bytes=256 * MIB, dtype="bfloat16")
PLAIN = "4096 tokens"
SETTINGS = {
    PLAIN: _PLAIN,
    "an odd length, odd bytes": replace(_PLAIN, max_model_len=5003, kv_cache_memory_bytes=100_000_007),
    "shorter than a block": replace(_PLAIN, max_model_len=100, kv_cache_memory_bytes=64 * MIB),
    "70,001 tokens": replace(_PLAIN, max_model_len=70_001, kv_cache_memory_bytes=1024 * MIB),
    "small batches": replace(_PLAIN, max_num_batched_tokens=300, max_num_seqs=7),
    "one sequence": replace(_PLAIN, max_model_len=1000, max_num_seqs=1),
    "blocks of 32": replace(_PLAIN, block_size=32),
    "blocks of 64": replace(_PLAIN, block_size=64),
    "float32": replace(_PLAIN, dtype="float32"),
    "float16": replace(_PLAIN, dtype="float16"),
    "8-bit cache": replace(_PLAIN, kv_cache_dtype="fp8"),
    "no prefix caching": replace(_PLAIN, enable_prefix_caching=False),
    "2 tensor ranks": replace(_PLAIN, tensor_parallel_size=2),
    "2 stages": replace(_PLAIN, pipeline_parallel_size=2),
    "3 stages, 9,999 tokens": replace(_PLAIN, pipeline_parallel_size=3, max_model_len=9999),
    "2 stages of 2 ranks": replace(_PLAIN, pipeline_parallel_size=2, tensor_parallel_size=2),
}

# 4096 tokens of a grouped-query model whose tokens take 1,536 bytes, and with them the block that stays empty.
EXACTLY_ONE_SEQUENCE = "exactly one sequence"
AND_THE_EMPTY_BLOCK = "one sequence and the empty block"
_EDGES = {
    EXACTLY_ONE_SEQUENCE: replace(_PLAIN, kv_cache_memory_bytes=4096 * 1536),
    AND_THE_EMPTY_BLOCK: replace(_PLAIN, kv_cache_memory_bytes=4096 * 1536 + 128 * 1536),
}

# Full-size models by kind of layers: over several stages, and with a cache of 8 bits.
_STAGED = (
    "Qwen/Qwen3.5-27B",
    "deepseek-ai/DeepSeek-V3",
    "google/gemma-2-27b-it",
    "google/gemma-3-27b-it",
    "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "openai/gpt-oss-120b",
)
_IN_8_BITS = (*_STAGED, "deepseek-ai/DeepSeek-V3.2", "google/gemma-4-26B-A4B-it", "zai-org/GLM-5")


def tiny(name: str, setting: str = PLAIN) -> Case:
    """A tiny model, with random weights where it is started."""
    config = KNOWN.get(name) or UNKNOWN[name]
    model = catalog.model_from_config(config, name=f"tiny {name}")
    settings = SETTINGS.get(setting) or _EDGES[setting]
    return Case(f"{name}: {setting}", model, {"config.json": config}, settings)


def tiny_cases() -> list[Case]:
    """Every family that the memory model knows in every setting, the others in one, and what just fits or does not."""
    return [
        *(tiny("grouped-query", setting) for setting in _EDGES),
        *(tiny(name, setting) for setting in SETTINGS for name in KNOWN),
        *(tiny(name) for name in UNKNOWN),
    ]


def full_size_cases(device: str) -> Iterator[Case]:
    """The catalog's models on one kind of device; of Blackwell what it treats unlike Hopper, latent attention."""
    for name in catalog.model_names():
        if device != BLACKWELL or _is_latent(name):
            yield _full_size(name)
        if device == HOPPER:
            yield _full_size(name, ranks=8, length=100_000)
    if device == HOPPER:
        yield from (_full_size(name, ranks=2, stages=3) for name in _STAGED)
        yield from (_full_size(name, cache="fp8") for name in _IN_8_BITS)


def _full_size(name: str, ranks: int = 1, stages: int = 1, length: int = 8192, cache: str = "auto") -> Case:
    """A model on `ranks` x `stages` devices with 32 GiB of cache each, at its longest up to `length`."""
    files = _folder_of(name)
    text = files["config.json"].get("text_config") or files["config.json"]
    settings = EngineSettings(
        max_model_len=min(length, text.get("max_position_embeddings") or length),
        kv_cache_memory_bytes=32 * 1024 * MIB,
        kv_cache_dtype=cache,
        tensor_parallel_size=ranks,
        pipeline_parallel_size=stages,
    )
    return Case(f"{name}: TP {ranks}, PP {stages}, {cache} cache", catalog.model_named(name), files, settings)


def _is_latent(name: str) -> bool:
    config = _folder_of(name)["config.json"]
    return "kv_lora_rank" in (config.get("text_config") or config)


def _folder_of(name: str) -> dict[str, Any]:
    """The JSON files of a catalog model's folder.

    Some copies of hf_quant_config.json leave out what vLLM asks for and what decides nothing here; it is filled in.
    """
    path = Path(catalog.__file__).with_name("configs") / (name.replace("/", "--") + ".json")
    files = {"config.json": json.loads(path.read_text())}
    beside = path.with_name(path.stem + ".hf_quant.json")
    if beside.exists():
        said = {"producer": {"name": "modelopt"}, **json.loads(beside.read_text())}
        filled = {"group_size": 16, "exclude_modules": ["lm_head"], **said["quantization"]}
        files["hf_quant_config.json"] = {**said, "quantization": filled}
    return files
