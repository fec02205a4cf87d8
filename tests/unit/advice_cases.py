"""Offers, pools and exhaustive searches for the tests of the advice."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

from infra.advice import Offer, Wanted
from infra.catalog.models import model_named
from infra.memory import EngineSettings
from infra.packing import Load
from infra.plan.sizing import Request

Numbers = tuple[int, ...]


def wanted(
    pool: str = "agents",
    sessions: int = 80,
    context: int = 8192,
    model: str = "Qwen/Qwen3-8B",
    *,
    device: str | None = None,
    kv_cache_dtype: str = "fp8",
    **fixed: int,
) -> Wanted:
    """A pool with FP8 weights and cache; `fixed` are numbers that the operator gave."""
    settings = EngineSettings(
        max_model_len=context,
        vllm_version="0.32.0",
        gpu_memory_utilization=0.9,
        kv_cache_dtype=kv_cache_dtype,
        quantization="fp8",
    )
    request = Request(pool, model_named(model), sessions, settings, None, None, None)
    return Wanted(dataclasses.replace(request, **fixed), device)


def cheapest_by_trying_all(choices: Sequence[Sequence[Load]], offers: Sequence[Offer]) -> Numbers | None:
    """Price, nodes, GPUs on them and GPUs in use of the best fleet: every choice on every set of nodes."""
    return min((_cost(pick, offers) for pick in itertools.product(*choices)), key=_or_last, default=None)


def _cost(pick: Sequence[Load], offers: Sequence[Offer]) -> Numbers | None:
    total: Numbers = (0, 0, 0)
    for device in {load.device for load in pick}:
        here = [offer for offer in offers if offer.device == device]
        sizes = [load.size for load in pick if load.device == device for _ in range(load.replicas)]
        nodes = _cheapest_nodes(here, sorted(sizes, reverse=True))
        if nodes is None:
            return None
        total = tuple(a + b for a, b in zip(total, nodes, strict=True))
    return (*total, sum(load.gpus for load in pick))


def _cheapest_nodes(offers: Sequence[Offer], sizes: Sequence[int]) -> Numbers | None:
    best: Numbers | None = None
    most = [len(sizes) if offer.stock is None else min(offer.stock, len(sizes)) for offer in offers]
    for counts in itertools.product(*(range(count + 1) for count in most)):
        rented = [offer for offer, count in zip(offers, counts, strict=True) for _ in range(count)]
        cost = (sum(offer.price_micro for offer in rented), len(rented), sum(offer.gpus for offer in rented))
        if (best is None or cost < best) and fits([offer.gpus for offer in rented], sizes):
            best = cost
    return best


def fits(free: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether replicas of these sizes fit into nodes with so many free GPUs, by trying every place."""
    if not sizes:
        return True
    if sum(sizes) > sum(free):
        return False
    return any(fits(left, sizes[1:]) for left in _places(free, sizes[0]))


def _places(free: Sequence[int], size: int) -> Iterator[list[int]]:
    for index, gpus in enumerate(free):
        if gpus >= size and gpus not in free[:index]:
            yield [*free[:index], gpus - size, *free[index + 1 :]]


def _or_last(cost: Numbers | None) -> tuple[bool, Numbers]:
    return cost is None, cost or ()


def seated(rentals: Sequence[tuple[int, Mapping[str, int]]]) -> dict[str, int]:
    """Replicas of each pool on all nodes, of (nodes, replicas on each)."""
    total: dict[str, int] = {}
    for nodes, replicas in rentals:
        for pool, count in replicas.items():
            total[pool] = total.get(pool, 0) + nodes * count
    return total
