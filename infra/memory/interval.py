"""How sure a budget is: bounds for the KV cache of one GPU, from the errors of its parts.

The errors are those seen on the start logs that the constants were taken from (overheads.json, docs/sizing.md); they
are added, not averaged, because the parts are few and a log can miss in several of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.memory.activation import other_sampler_bytes, tower_bytes
from infra.memory.overheads import graphs_deducted
from infra.memory.replica import Replica
from infra.memory.settings import is_unified

_GIB = 1 << 30


@dataclass(frozen=True)
class Interval:
    """Bounds that the measured KV cache of one GPU should fall between."""

    low_bytes: int
    high_bytes: int


def kv_interval(kv_cache: int, weights: int, activation: int, graphs: int, replica: Replica) -> Interval:
    """Bounds of the cache of one GPU that was sized to `kv_cache` bytes beside these parts."""
    if replica.settings.kv_cache_memory_bytes:
        return Interval(kv_cache, kv_cache)
    error = weights * (0.015 if replica.plan.rules else 0.005)
    error += 0.1 * activation + 0.25 * tower_bytes(replica)
    error += _non_torch_error(replica)
    error += 0.0 if replica.device.name.startswith("unnamed") else 0.003 * replica.usable_bytes
    graphs = graphs if graphs_deducted(replica.version) else 0
    low = kv_cache - error - graphs
    high = kv_cache + error + 0.8 * graphs + other_sampler_bytes(replica)
    return Interval(max(0, int(low)), max(0, int(high)))


def _non_torch_error(replica: Replica) -> float:
    if is_unified(replica.device):
        return 2.5 * _GIB
    return (0.25 if replica.ranks > 1 else 0.12) * _GIB
