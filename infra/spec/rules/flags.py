"""Which flags of `vllm serve` belong to the plan, and where an operator sets them instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec

_BY_POOL = "set it as pools.<name>."
_BY_ENGINE = "set it as engine."
_BY_MODEL = "set it under models.<name>: "
_MEMORY = "it changes the memory that the plan counts, and no key of the spec covers it yet"
_ONE_NODE = "a replica is one engine on one node"

OWNED_FLAGS: Mapping[str, str] = {
    "model": _BY_MODEL + "weights",
    "tokenizer": _BY_MODEL + "weights",
    "revision": _BY_MODEL + "weights",
    "code-revision": _BY_MODEL + "weights",
    "tokenizer-revision": _BY_MODEL + "weights",
    "download-dir": _BY_MODEL + "weights",
    "hf-token": "it would stand in the unit for all to read",
    "api-key": "it would stand in the unit for all to read; it comes from the stack's secret apiKey",
    "served-model-name": _BY_MODEL + "served_name",
    "quantization": _BY_MODEL + "quantization",
    "dtype": _BY_MODEL + "dtype",
    "hf-overrides": _MEMORY,
    "hf-config-path": _MEMORY,
    "max-model-len": "set workload.context_tokens",
    "max-num-seqs": _BY_POOL + "max_num_seqs",
    "tensor-parallel-size": _BY_POOL + "tensor_parallel_size",
    "port": _BY_POOL + "port",
    "host": "set it as the node's address",
    "uds": "the endpoint is a port",
    "root-path": "probes and clients use the paths as they are",
    "ssl-keyfile": "TLS is not built yet",
    "ssl-certfile": "TLS is not built yet",
    "config": "every flag stands in the unit, where a preview shows it",
    "gpu-memory-utilization": _BY_ENGINE + "gpu_memory_utilization",
    "device-memory-utilization": _BY_ENGINE + "gpu_memory_utilization",
    "kv-cache-dtype": _BY_ENGINE + "kv_cache_dtype",
    "enable-prefix-caching": _BY_ENGINE + "enable_prefix_caching",
    "shutdown-timeout": _BY_ENGINE + "shutdown_timeout_s",
    "kv-cache-memory-bytes": _MEMORY,
    "num-gpu-blocks-override": _MEMORY,
    "block-size": _MEMORY,
    "max-num-batched-tokens": _MEMORY,
    "enforce-eager": _MEMORY,
    "compilation-config": _MEMORY,
    "cudagraph-capture-sizes": _MEMORY,
    "max-cudagraph-capture-size": _MEMORY,
    "optimization-level": _MEMORY,
    "cpu-offload-gb": _MEMORY,
    "kv-offloading-size": _MEMORY,
    "speculative-config": _MEMORY,
    "enable-lora": _MEMORY,
    "enable-expert-parallel": _MEMORY,
    "pipeline-parallel-size": _ONE_NODE,
    "data-parallel-size": _ONE_NODE,
    "decode-context-parallel-size": _ONE_NODE,
    "prefill-context-parallel-size": _ONE_NODE,
    "distributed-executor-backend": _ONE_NODE,
    "nnodes": _ONE_NODE,
    "node-rank": _ONE_NODE,
    "master-addr": _ONE_NODE,
    "device-ids": "the plan gives each replica its GPUs",
}
"""Flag -> what to do instead. Names as in vLLM 0.32.0's `vllm serve --help`."""

SHORT_FLAGS: Mapping[str, str] = {
    "q": "quantization",
    "tp": "tensor-parallel-size",
    "pp": "pipeline-parallel-size",
    "dp": "data-parallel-size",
    "dcp": "decode-context-parallel-size",
    "pcp": "prefill-context-parallel-size",
    "n": "nnodes",
    "r": "node-rank",
    "O": "optimization-level",
    "cc": "compilation-config",
    "sc": "speculative-config",
}


def owned_flag(name: str) -> str | None:
    """The owned flag that vLLM's parser would take `name` for, if any.

    That parser reads short names, `no-` before a switch, `name.key` for a part of a JSON value, and any beginning of a
    name that fits.
    """
    name = SHORT_FLAGS.get(name, name).partition(".")[0].removesuffix("+").removeprefix("no-")
    if name in OWNED_FLAGS:
        return name
    return next((owned for owned in OWNED_FLAGS if len(name) > 2 and owned.startswith(name)), None)


def flags_belong_to_the_operator(spec: FleetSpec) -> Iterator[Fault]:
    """engine.extra_flags holds no flag that the plan decides."""
    for name in spec.engine.extra_flags:
        owned = owned_flag(name)
        if owned is not None:
            also = f" (vLLM reads it as {owned})" if owned != name else ""
            yield Fault(
                ("engine", "extra_flags", name), f"belongs to the plan{also}, remove it: {OWNED_FLAGS[owned]}"
            )
