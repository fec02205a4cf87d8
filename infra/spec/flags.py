"""Which flags of `vllm serve` belong to the plan, and what an operator does instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from infra.spec.document import shown
from infra.spec.text import one_line

_FLAG = re.compile(r"-{0,2}[A-Za-z][A-Za-z0-9_.-]{0,79}\+?")

_WEIGHTS = "set models.<name>.weights instead"
_MEMORY = "remove it, for the plan cannot count yet what memory it takes"
_ONE_ENGINE = "remove it, for a replica is one engine on one node; more of them are pools.<name>.replicas"
_ONE_PORT = "remove it, for the endpoint is one port, which the firewall knows"

OWNED_FLAGS: Mapping[str, str] = {
    "api-key": "remove it, for the unit would show it to all; the key is the stack's secret apiKey",
    "code-revision": _WEIGHTS,
    "compilation-config": _MEMORY,
    "config": "remove it, for every flag stands in the unit, where a preview shows it",
    "cpu-offload-gb": _MEMORY,
    "cudagraph-capture-sizes": _MEMORY,
    "decode-context-parallel-size": _ONE_ENGINE,
    "device-ids": "remove it, for the plan gives each replica its GPUs",
    "device-memory-utilization": "set engine.gpu_memory_utilization instead",
    "distributed-executor-backend": _ONE_ENGINE,
    "download-dir": _WEIGHTS,
    "dtype": "set models.<name>.dtype instead",
    "enable-lora": _MEMORY,
    "enable-prefix-caching": "set engine.enable_prefix_caching instead",
    "gpu-memory-utilization": "set engine.gpu_memory_utilization instead",
    "grpc": _ONE_PORT,
    "grpc-port": _ONE_PORT,
    "headless": "remove it, for it starts no endpoint",
    "hf-config-path": _MEMORY,
    "hf-overrides": _MEMORY,
    "hf-token": "remove it, for the unit would show it to all; weights are fetched before the engine starts",
    "host": "remove it, for the engine listens on its node's address",
    "kv-cache-dtype": "set engine.kv_cache_dtype instead",
    "kv-cache-memory-bytes": "set engine.gpu_memory_utilization instead, or nodes.lab.kv_cache_memory on lab nodes",
    "kv-offloading-size": _MEMORY,
    "master-addr": _ONE_ENGINE,
    "master-port": _ONE_ENGINE,
    "max-cudagraph-capture-size": _MEMORY,
    "max-model-len": "set workload.context_tokens instead",
    "max-num-seqs": "set pools.<name>.max_num_seqs instead",
    "model": _WEIGHTS,
    "model-class-overrides": _MEMORY,
    "nnodes": _ONE_ENGINE,
    "node-rank": _ONE_ENGINE,
    "num-gpu-blocks-override": _MEMORY,
    "optimization-level": _MEMORY,
    "pipeline-parallel-size": _ONE_ENGINE,
    "port": "set pools.<name>.port instead",
    "prefill-context-parallel-size": _ONE_ENGINE,
    "quantization": "set models.<name>.quantization instead",
    "quantization-config": "set models.<name>.quantization instead",
    "revision": _WEIGHTS,
    "root-path": "remove it, for probes and clients use the paths as they are",
    "served-model-name": "set models.<name>.served_name instead",
    "shutdown-timeout": "set engine.shutdown_timeout_s instead",
    "speculative-config": _MEMORY,
    "tensor-parallel-size": "set pools.<name>.tensor_parallel_size instead",
    "tokenizer": _WEIGHTS,
    "tokenizer-revision": _WEIGHTS,
    "uds": _ONE_PORT,
}
"""Flag, and what to do instead. Names of vLLM 0.32.0."""

_OWNED_FAMILIES: Mapping[str, str] = {
    "data-parallel-": _ONE_ENGINE,
    "spec-": _MEMORY,
    "ssl-": "remove it, for the engine answers plain HTTP behind the firewall",
}
"""The same for all flags that begin alike."""

COUNTED_FLAGS = frozenset({"block-size", "enable-expert-parallel", "enforce-eager", "max-num-batched-tokens"})
"""Flags of the operator's that the plan reads when it counts memory, so they must be spelled in full."""

_SHORT_FLAGS: Mapping[str, str] = {
    "O": "optimization-level",
    "cc": "compilation-config",
    "dcp": "decode-context-parallel-size",
    "dp": "data-parallel-size",
    "ep": "enable-expert-parallel",
    "n": "nnodes",
    "pcp": "prefill-context-parallel-size",
    "pp": "pipeline-parallel-size",
    "q": "quantization",
    "r": "node-rank",
    "sc": "speculative-config",
    "tp": "tensor-parallel-size",
}


def flag_name(spelling: str) -> str:
    """A flag without its leading hyphens, and with hyphens for underscores, as vLLM's own parser reads it."""
    name, dot, inner = spelling.lstrip("-").partition(".")
    return name.replace("_", "-") + dot + inner


def full_flag(name: str) -> str:
    """The flag that vLLM's parser takes `name` for, as far as the plan cares; else `name` without its decoration.

    That parser takes short names, `no-` before a switch, `name.key` and `name+` for a part of a JSON value, and any
    beginning of a name that fits no other.
    """
    bare = name.partition(".")[0].removesuffix("+").removeprefix("no-")
    bare = _SHORT_FLAGS.get(bare, bare)
    if len(bare) < 3 or _remedy(bare) is not None or bare in COUNTED_FLAGS:
        return bare
    known = (*OWNED_FLAGS, *sorted(COUNTED_FLAGS), *_OWNED_FAMILIES)
    return next((flag for flag in known if flag.startswith(bare)), bare)


def _extra_flag(spelling: str) -> str:
    """The flag's name, if it is the operator's to set."""
    if not _FLAG.fullmatch(spelling):
        raise ValueError(f"must be a flag of vLLM such as max-logprobs, not {shown(spelling)}")
    name = flag_name(spelling)
    full = full_flag(name)
    as_full = "" if full == name.removeprefix("no-") else f" as {full.removesuffix('-')}"
    if (remedy := _remedy(full)) is not None:
        raise ValueError(f"belongs to the plan{as_full}: {remedy}")
    if as_full and full in COUNTED_FLAGS:
        raise ValueError(f"is read by vLLM{as_full}: write that name in full")
    return name


def _extra_value(value: Any) -> Any:
    if value is None:
        raise ValueError("is empty: write true for a flag that takes no value")
    if not isinstance(value, (str, int, float)) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("must be text, a number, true or false: write JSON as text in single quotes")
    return one_line(value) if isinstance(value, str) else value


def _remedy(flag: str) -> str | None:
    family = next((remedy for prefix, remedy in _OWNED_FAMILIES.items() if flag.startswith(prefix)), None)
    return OWNED_FLAGS.get(flag, family)


FlagName = Annotated[str, AfterValidator(_extra_flag)]
FlagValue = Annotated[str | int | float | bool, BeforeValidator(_extra_value)]
