"""`fleet size`: one replica's memory on one kind of GPU, as text to read or JSON to script against.

It starts in a fraction of a second: argument parsing and everything below import the standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from infra.catalog.devices import Device, device_named, device_of_memory
from infra.catalog.models import find_model
from infra.errors import SizingError
from infra.memory import EngineSettings, MemoryBudget, size_replica

_GIB = 1 << 30


def run_size(arguments: Sequence[str]) -> int:
    """Size one replica and print it. Answers 0 if it fits, 1 if not, 2 with a sentence on stderr if not understood."""
    try:
        options = _parser().parse_args(arguments)
        device = _device(options)
        budget = size_replica(find_model(options.model), device, _settings(options))
    except SizingError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except SystemExit as leaving:  # argparse has printed its help
        return int(leaving.code or 0)
    printed = (
        json.dumps(as_json(budget))
        if options.format == "json"
        else "\n".join(as_text(budget, device, options.model))
    )
    sys.stdout.write(printed + "\n")
    return 0 if budget.fits else 1


def as_json(budget: MemoryBudget) -> dict[str, Any]:
    """The budget under the names that scripts rely on."""
    return {
        "weights_bytes_per_gpu": budget.weights_bytes,
        "activation_bytes_per_gpu": budget.activation_bytes,
        "non_torch_bytes_per_gpu": budget.non_torch_bytes,
        "cuda_graph_bytes_per_gpu": budget.cuda_graph_bytes,
        "kv_cache_bytes_per_gpu": budget.kv_cache_bytes,
        "kv_cache_tokens": budget.kv_cache_tokens,
        "max_concurrency": round(budget.max_concurrency, 4),
        "kv_bytes_per_token": budget.kv_bytes_per_token,
        "block_size": budget.block_size,
        "usable_bytes_per_gpu": budget.usable_bytes,
        "total_bytes_per_gpu": budget.total_bytes,
        "fits": budget.fits,
        "interval": {"kv_cache_bytes_per_gpu": [budget.interval.low_bytes, budget.interval.high_bytes]},
        "notes": list(budget.notes),
    }


def as_text(budget: MemoryBudget, device: Device, model: str) -> Iterator[str]:
    """The budget as lines, in GiB."""
    yield f"{model} on {device.name}, per GPU"
    low, high = budget.interval.low_bytes / _GIB, budget.interval.high_bytes / _GIB
    rows = (
        ("memory", budget.total_bytes, "as the driver reports it"),
        ("usable", budget.usable_bytes, "memory times the utilization"),
        ("weights", budget.weights_bytes, ""),
        ("activations", budget.activation_bytes, "peak of the engine's own profiling run"),
        ("outside PyTorch", budget.non_torch_bytes, "context, kernels, communication"),
        ("CUDA graphs", budget.cuda_graph_bytes, "inside the budget from 0.20 on, on top of it before"),
        ("KV cache", budget.kv_cache_bytes, f"between {low:.2f} and {high:.2f}"),
    )
    for name, size, remark in rows:
        yield f"  {name:<16}{size / _GIB:9.2f} GiB   {remark}".rstrip()
    yield f"  {'KV tokens':<16}{budget.kv_cache_tokens:9,}       {budget.kv_bytes_per_token:,} bytes each"
    yield f"  {'sequences':<16}{budget.max_concurrency:9.2f}       of full length at once"
    if not budget.fits:
        yield "does not fit: not one sequence of full length has room"
    yield from (f"note: {note}" for note in budget.notes)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the flags in one sentence, as for every other input."""

    def error(self, message: str) -> NoReturn:
        raise SizingError("fleet size", f"{message} (see fleet size --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fleet size", description="Size one replica: what vLLM reserves and what the KV cache gets."
    )
    parser.add_argument("--model", required=True, help="a config.json, its folder, or a model of the catalog")
    gpu = parser.add_mutually_exclusive_group(required=True)
    gpu.add_argument("--gpu", help="a device of the catalog, such as H100-SXM")
    gpu.add_argument("--gpu-memory-gib", type=float, help="memory of a GPU as its driver reports it")
    parser.add_argument("--max-model-len", type=int, required=True, help="tokens of one sequence")
    parser.add_argument("--tensor-parallel-size", type=int, default=1)
    parser.add_argument("--pipeline-parallel-size", type=int, default=1)
    parser.add_argument("--decode-context-parallel-size", type=int, default=1)
    parser.add_argument("--enable-expert-parallel", action="store_true")
    parser.add_argument("--gpu-memory-utilization", type=float)
    parser.add_argument("--kv-cache-dtype", default="auto")
    parser.add_argument(
        "--kv-cache-memory-bytes", type=int, help="size of the cache, given instead of profiled"
    )
    parser.add_argument("--quantization")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max-num-seqs", type=int)
    parser.add_argument("--max-num-batched-tokens", type=int)
    parser.add_argument("--enforce-eager", action="store_true")
    parser.add_argument("--block-size", type=int)
    parser.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction)
    parser.add_argument("--vllm-version", help="without it, the least generous version is assumed")
    parser.add_argument("--format", choices=("text", "table", "json"), default="text")
    return parser


def _device(options: argparse.Namespace) -> Device:
    if options.gpu is not None:
        return device_named(options.gpu)
    if not 0 < options.gpu_memory_gib < 4096:
        raise SizingError("gpu_memory_gib", f"must be a GPU's memory in GiB, not {options.gpu_memory_gib}")
    return device_of_memory(round(options.gpu_memory_gib * _GIB))


def _settings(options: argparse.Namespace) -> EngineSettings:
    return EngineSettings(
        max_model_len=options.max_model_len,
        vllm_version=options.vllm_version,
        tensor_parallel_size=options.tensor_parallel_size,
        pipeline_parallel_size=options.pipeline_parallel_size,
        expert_parallel=options.enable_expert_parallel,
        max_num_seqs=options.max_num_seqs,
        max_num_batched_tokens=options.max_num_batched_tokens,
        gpu_memory_utilization=options.gpu_memory_utilization,
        kv_cache_dtype=options.kv_cache_dtype,
        quantization=options.quantization,
        dtype=options.dtype,
        enforce_eager=options.enforce_eager,
        block_size=options.block_size,
        kv_cache_memory_bytes=options.kv_cache_memory_bytes,
        enable_prefix_caching=options.enable_prefix_caching,
        decode_context_parallel_size=options.decode_context_parallel_size,
    )


if __name__ == "__main__":
    raise SystemExit(run_size(sys.argv[1:]))
