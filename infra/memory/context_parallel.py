"""Decode context parallelism: tensor parallel ranks that would keep the same tokens keep different ones instead.

Which is why it needs such ranks: MLA's latent is whole on every rank, and so is a KV head once there are more ranks
than heads. Each rank then holds every n-th token of a sequence (vllm/config/model.py, verify_with_parallel_config, and
config/parallel.py; read in 0.32.0).
"""

from __future__ import annotations

from infra.errors import SizingError
from infra.memory.network import AttentionCache, LatentCache
from infra.memory.replica import Replica
from infra.memory.versions import Version

_FIELD = "decode_context_parallel_size"
_LATENT_SINCE: Version = (0, 10, 2)  # vllm 23734
_HEADS_SINCE: Version = (0, 11, 1)  # vllm 24864


def check_context_ranks(replica: Replica) -> None:
    """Refuse what the engine would refuse; SizingError names the flag."""
    size = replica.settings.decode_context_parallel_size
    if size == 1:
        return
    if replica.ranks % size:
        raise SizingError(_FIELD, f"{size} does not divide the {replica.ranks} ranks of tensor_parallel_size")
    caches = [layer.cache for layer in replica.network.layers]
    if any(isinstance(cache, AttentionCache) and (cache.window or cache.chunk) for cache in caches):
        raise SizingError(_FIELD, "layers with a window or chunk do not deal out their tokens: leave it at 1")
    heads = {cache.kv_heads for cache in caches if isinstance(cache, AttentionCache)}
    since = _HEADS_SINCE if heads else _LATENT_SINCE
    if replica.version < since:
        raise SizingError(_FIELD, f"is for this model in vLLM {'.'.join(map(str, since))} and later")
    if not heads and not any(isinstance(cache, LatentCache) for cache in caches):
        raise SizingError(_FIELD, "no layer of the model keeps tokens: leave it at 1")
    for count in heads:
        _check_heads(replica, size, count)


def _check_heads(replica: Replica, size: int, kv_heads: int) -> None:
    copies, queries = replica.ranks // kv_heads, replica.network.attention_heads // kv_heads
    if replica.ranks <= kv_heads or size > copies:
        times = "once" if copies < 2 else f"{copies} times"
        message = f"needs each KV head on {size} ranks, and {replica.ranks} ranks keep each of {kv_heads} heads {times}"
        raise SizingError(_FIELD, message)
    if queries % size:
        raise SizingError(_FIELD, f"{size} does not divide the {queries} query heads of a KV head")
