"""Measured constants of the engine's overheads, read from overheads.json: each with its source and its error."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.catalog.devices import Device
from infra.memory.settings import is_unified
from infra.memory.versions import Version, since

_DATA = Path(__file__).with_name("overheads.json")
_GIB = 1 << 30


@functools.cache
def _tables() -> Mapping[str, Any]:
    tables: dict[str, Any] = json.loads(_DATA.read_text(encoding="utf-8"))
    return tables


def non_torch_bytes(version: Version, device: Device, ranks: int) -> int:
    """Memory of one GPU that PyTorch does not know of: context, kernels, communication."""
    entry = since(_tables()["non_torch"]["entries"], version)["gib"]
    base = entry["unified"] if is_unified(device) else entry.get(device.generation, entry["other"])
    communication = _tables()["communication"]
    switched = device.link == "nvlink" and device.generation in communication["nvswitch_generations"]
    shared = communication["gib"]["nvswitch" if switched else "other"] if ranks > 1 else 0
    return int((base + shared) * _GIB)


def constant_bytes(generation: str) -> int:
    """The fixed part of PyTorch's own peak."""
    table: dict[str, int] = _tables()["constant"]["bytes"]
    return table.get(generation, table["other"])


def sampler_bytes_per_logit(version: Version) -> tuple[int, bool]:
    """Bytes per logit of the first runner's sampler, and whether it keeps one more row per processor of the GPU."""
    entry = since(_tables()["sampler"]["entries"], version)
    return entry["bytes_per_logit"], entry.get("row_per_processor", False)


def second_runner(version: Version, architecture: str, *, dense: bool, recurrent: bool) -> bool:
    """Whether this version runs this model on its second runner, which profiles less."""
    entry = since(_tables()["second_runner"]["entries"], version)
    if entry.get("all"):
        return True
    return architecture in entry["architectures"] or (entry.get("dense", False) and dense and not recurrent)


def second_runner_bytes_per_logit(version: Version) -> float:
    """Bytes per logit of the second runner, with what it keeps where this version counts that."""
    table = _tables()["second_runner"]
    kept: float = table["kept_bytes_per_logit"] if _reached(table["counted_since"], version) else 0
    return float(table["bytes_per_logit"] + kept)


def expert_workspace(version: Version) -> tuple[int | None, bool]:
    """Tokens that the experts work on at a time (None: all), and whether their buffers stay while the sampler runs."""
    entry = since(_tables()["expert_workspace"]["entries"], version)
    return entry.get("chunk_tokens"), entry.get("kept", False)


def graph_bytes(max_num_seqs: int) -> int:
    """Memory of the CUDA graphs captured for batches of 1, 2, 4, 8, 16, … up to twice the sequences, at most 512."""
    table = _tables()["cuda_graphs"]
    piecewise = _capture_sizes(min(2 * max_num_seqs, table["largest_batch"]))
    decode = _capture_sizes(min(max_num_seqs, table["largest_batch"]))
    return int(table["bytes_per_graph"]) * (piecewise + decode)


def graphs_deducted(version: Version) -> bool:
    """Whether this version takes its estimate of the graphs off the cache's budget."""
    return _reached(_tables()["cuda_graphs"]["deducted_since"], version)


def runtime_counted_as_weights(generation: str) -> int:
    """What "Model loading took" holds beside the model on ROCm."""
    return int(_tables()["rocm_runtime"]["gib"].get(generation, 0) * _GIB)


def _capture_sizes(largest: int) -> int:
    """1, 2, 4, then every 8 up to 256, then every 16."""
    return sum(1 for size in (1, 2, 4, *range(8, 257, 8), *range(272, 513, 16)) if size <= largest)


def _reached(version_text: str, version: Version) -> bool:
    return bool(since([{"since": "0.0.0"}, {"since": version_text}], version)["since"] == version_text)
