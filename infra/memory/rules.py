"""What the engine would refuse, or what this memory model does not understand: said before anything is computed."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.errors import SizingError
from infra.memory.config import Config
from infra.memory.context_parallel import check_context_ranks
from infra.memory.network import AttentionCache
from infra.memory.replica import Replica
from infra.memory.settings import is_sm100, is_unified
from infra.memory.versions import is_untagged
from infra.memory.weights import stored_bytes

_NO_FLOAT16 = ("Gemma2", "Gemma3", "Glm4")  # vllm/config/model.py, _FLOAT16_NOT_SUPPORTED_MODELS
_QUANTIZED_NAME = re.compile(r"(?i)nvfp4|mxfp4|fp8|awq|gptq|int4|int8|w4a16|w8a8|4bit|8bit")
_FP8_CACHE = frozenset(
    {"ada", "hopper", "blackwell", "cdna3", "rdna4", "cpu"}
)  # 8-bit floats in hardware, or in software


def check_replica(replica: Replica) -> tuple[str, ...]:
    """Refuse combinations that do not start; return what the operator should know of those that do."""
    _check_name(replica)
    _check_heads(replica)
    check_context_ranks(replica)
    _check_length(replica)
    _check_dtype(replica)
    _check_batch(replica)
    _check_block(replica)
    _check_unread_keys(replica.config)
    return tuple(_notes(replica))


def resolve_kv_dtype(replica: Replica) -> str:
    """The cache's data type: as asked, or 8 bits where the checkpoint asks for them and this version heeds that.

    GLM 5 gets 8 bits unasked on datacenter Blackwell (vllm/model_executor/models/config.py).

    Raises SizingError where the GPU cannot keep 8-bit floats: e4m3 needs Ada, Hopper or newer; Ampere only knows
    e5m2 as a storage format.
    """
    asked, device = replica.settings.kv_cache_dtype, replica.device
    by_checkpoint = asked == "auto" and replica.plan.kv_cache_fp8
    if by_checkpoint:
        heeded_since = (0, 14, 0) if replica.plan.method == "modelopt" else (0, 15, 0)
        asked = "fp8" if replica.version >= heeded_since else "auto"
    if asked == "auto" and replica.architecture == "GlmMoeDsaForCausalLM" and is_sm100(device):
        asked = "fp8" if replica.version >= (0, 31, 0) else "auto"  # not yet in 0.30.0, in 0.32.0 it is so
    storage_only = asked == "fp8_e5m2" and device.generation == "ampere"
    if (
        asked.startswith("fp8")
        and device.generation
        and device.generation not in _FP8_CACHE
        and not storage_only
    ):
        why = "the checkpoint asks for it" if by_checkpoint else "it was asked for"
        message = f"{device.name} ({device.generation}) keeps no 8-bit e4m3 cache, and {why}; Ada, Hopper and newer do"
        raise SizingError("kv_cache_dtype", message)
    return asked


def _check_name(replica: Replica) -> None:
    """Refuse a model whose name says that it is quantized while its config does not: a file is missing beside it."""
    path = Path(replica.name)
    name = path.parent.name if path.name == "config.json" else path.name
    if replica.plan.method == "none" and (scheme := _QUANTIZED_NAME.search(name)):
        message = (
            f"is missing, though the name says {scheme[0]}; keep hf_quant_config.json beside config.json"
        )
        raise SizingError(
            "quantization_config", message + ", or pass --quantization if it is made while loading"
        )


def _check_heads(replica: Replica) -> None:
    ranks, network = replica.ranks, replica.network
    if network.attention_heads % ranks:
        message = f"{ranks} ranks do not divide {network.attention_heads} attention heads"
        raise SizingError("tensor_parallel_size", message)
    for heads in {
        layer.cache.kv_heads for layer in network.layers if isinstance(layer.cache, AttentionCache)
    }:
        if heads % ranks and ranks % heads:
            message = f"{ranks} ranks neither divide {heads} key-value heads nor are a multiple of them"
            raise SizingError("tensor_parallel_size", message)


def _check_length(replica: Replica) -> None:
    """vLLM refuses more tokens than the model has positions, counting what rotary scaling adds."""
    asked, network = replica.settings.max_model_len, replica.network
    longest = max((network.max_positions, *(table.positions for table in network.rotary)))
    if asked > longest:
        raise SizingError(
            "max_model_len", f"{asked} tokens are more than the {longest} positions of the model"
        )


def _check_dtype(replica: Replica) -> None:
    asked, device = replica.settings.dtype, replica.device
    if asked in {"float16", "half"} and replica.architecture.startswith(_NO_FLOAT16):
        raise SizingError("dtype", f"{replica.architecture} is unstable in float16, and vLLM refuses it")
    if asked == "bfloat16" and device.generation in {"volta", "turing"}:
        raise SizingError("dtype", f"{device.name} ({device.generation}) has no bfloat16; use float16")


def _check_batch(replica: Replica) -> None:
    limits = replica.limits
    if limits.max_num_batched_tokens < limits.max_num_seqs:
        message = f"{limits.max_num_batched_tokens} are fewer than max_num_seqs {limits.max_num_seqs}"
        raise SizingError("max_num_batched_tokens", message)


def _check_block(replica: Replica) -> None:
    asked, device = replica.settings.block_size, replica.device
    step = 32 if device.kind == "cpu" else 16
    if asked is not None and asked % step:
        raise SizingError("block_size", f"{asked} is no multiple of {step}, as {device.name} needs")


def _notes(replica: Replica) -> Iterator[str]:
    device, version = replica.device, replica.settings.vllm_version
    if version and is_untagged(version):
        yield f"vLLM {version} is a build without tags, of unknown age: sized as the newest version"
    if note := _checkpoint_note(replica):
        yield note
    if replica.settings.decode_context_parallel_size > 1:
        yield "decode context parallelism: what its exchange of partial results takes is not measured, and not counted"
    if replica.ranks > 1 and device.link == "pcie":
        yield f"{device.name} has no NVLink: tensor parallelism over PCIe costs speed"
    if is_unified(device):
        yield f"{device.name} shares its memory with the host: other processes move the result by a few GiB"
    if not device.generation:
        yield "the GPU's generation is not known: FP8 support and overheads are those of an average GPU"


def _checkpoint_note(replica: Replica) -> str:
    """What to say where the files beside the config hold more or less than its shapes."""
    if replica.checkpoint_bytes is None or replica.settings.quantization:
        return ""
    shapes = sum(stored_bytes(tensor, replica) for tensor in replica.network.tensors() if not tensor.derived)
    if abs(shapes / replica.checkpoint_bytes - 1) <= _CHECKPOINT_TOLERANCE:
        return ""
    held, stated = replica.checkpoint_bytes / (1 << 30), shapes / (1 << 30)
    sizes = f"the checkpoint's files hold {held:.2f} GiB, the config's shapes {stated:.2f} GiB"
    return f"{sizes}: it has layers vLLM does not load, or another model's config"


# ------------------------------------------------------------------------------------------- keys nobody read

_READ_AS_A_WHOLE = frozenset(
    {
        "quantization_config",
        "auto_map",
        "id2label",
        "label2id",
        "rope_scaling",
        "rope_parameters",
        "task_specific_params",
    }
)
_DEEPEST = 10
_CHECKPOINT_TOLERANCE = 0.02  # tied heads are sometimes stored, buffers sometimes too
_SPEAKS_OF_SIZE = re.compile(
    r"(layer|head|dim|size|width|expert|window|rank|state|conv|chunk|compress|group|expand|mult|block|memory|cache|sparse"
    r"|pattern|ratio|hash|shared|index)",
)


def _check_unread_keys(config: Config) -> None:
    """Refuse a key that speaks of sizes and that no part of the memory model knows: it may well decide bytes."""
    for path, value in _leaves(config.facts, ""):
        key = path.rpartition(".")[2]
        if not value or path in config.read or not _SPEAKS_OF_SIZE.search(key) or key in _harmless_keys():
            continue
        message = f"{str(value)[:40]} is not understood: the key speaks of sizes, and nothing here knows it"
        raise SizingError(path, message)


def _leaves(facts: Mapping[str, Any], path: str) -> Iterator[tuple[str, object]]:
    if path.count(".") > _DEEPEST:
        raise SizingError(path[:40], "is nested deeper than any config")
    for key, value in facts.items():
        if key in _READ_AS_A_WHOLE:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


@functools.cache
def _harmless_keys() -> frozenset[str]:
    reasons = json.loads(Path(__file__).with_name("harmless_keys.json").read_text(encoding="utf-8"))
    return frozenset(key for reason, keys in reasons.items() if reason != "about" for key in keys)
