"""What each layer's cache takes on one GPU: key-value heads per rank, MLA's latent, index keys, recurrent states."""

from __future__ import annotations

from dataclasses import dataclass, replace

from infra.errors import SizingError
from infra.memory.network import AttentionCache, Cache, LatentCache, Network, StateCache
from infra.memory.pages import Keeps, Page
from infra.memory.replica import Replica
from infra.memory.settings import is_sm100, kv_element_bytes

_INDEX_SCALE_BYTES = 4  # DeepSeek-V3.2's index keeps 8-bit keys with one 4-byte scale per 128 numbers
# Before it, the platform forced a block size, and a kernel was sought that takes it.
_KERNELS_CHOSEN_FIRST = (0, 18, 0)
_PACKED_LATENT_BYTES = 656  # 8-bit latent of sparse MLA with scales and a 16-bit rotary part ("fp8_ds_mla")


@dataclass(frozen=True)
class CacheRules:
    """How one replica's engine keeps its cache."""

    ranks: int
    element_bytes: int
    kv_element_bytes: int
    block_tokens: int
    caches_prefixes: bool
    exports_states: bool
    packed_latent: bool = False

    def states_per_sequence(self, cache: StateCache) -> int:
        """One state; where prefixes are cached the last block's too, and one that a prefill leaves on its way."""
        exported = self.exports_states and cache.exported
        return 2 + exported if self.caches_prefixes else 1


def cache_rules(replica: Replica, kv_dtype: str) -> CacheRules:
    """The rules of a replica whose cache has this data type.

    A prefill exports the state of a block that it passes from 0.31 on (not yet in 0.30.0, in 0.32.0 it does).
    Datacenter Blackwell keeps the 8-bit latent of sparse MLA as it is from 0.19 on (FLASHINFER_MLA_SPARSE).
    """
    eight_bits = kv_dtype.startswith("fp8")
    return CacheRules(
        ranks=replica.ranks,
        element_bytes=replica.element_bytes,
        kv_element_bytes=kv_element_bytes(kv_dtype, replica.element_bytes),
        block_tokens=block_tokens(replica, eight_bits=eight_bits),
        caches_prefixes=replica.limits.prefix_caching_hybrid,
        exports_states=replica.version >= (0, 31, 0),
        packed_latent=eight_bits and not (is_sm100(replica.device) and replica.version >= (0, 19, 0)),
    )


def cache_pages(network: Network, rules: CacheRules) -> list[tuple[int, Page]]:
    """The page of every layer that keeps something, by its index; a sparse index is a page of its own."""
    if any(isinstance(layer.cache, StateCache) for layer in network.layers):
        rules = _aligned(network, rules)
    pages: list[tuple[int, Page]] = []
    for index, layer in enumerate(network.layers):
        cache = layer.cache
        if isinstance(cache, AttentionCache):
            pages.append((index, _attention_page(cache, rules)))
        elif isinstance(cache, LatentCache):
            pages.append((index, _latent_page(cache, rules)))
            if cache.index_dim:
                size = rules.block_tokens * (cache.index_dim + _INDEX_SCALE_BYTES * cache.index_dim // 128)
                pages.append((index, Page(Keeps.ALL, rules.block_tokens, size, latent=True)))
        elif isinstance(cache, StateCache):
            size = max(_state_bytes(cache, rules), _largest_attention_page(network, rules))
            states = rules.states_per_sequence(cache)
            pages.append((index, Page(Keeps.STATE, rules.block_tokens, size, states=states)))
    return pages


def token_bytes(network: Network, rules: CacheRules, first_layer: int, end_layer: int) -> int:
    """Bytes that one more token of a long sequence adds: the layers that keep every token."""
    pages = cache_pages(network, rules)
    kept = [page for index, page in pages if page.keeps is Keeps.ALL and first_layer <= index < end_layer]
    return sum(page.page_bytes // page.tokens for page in kept)


def block_tokens(replica: Replica, *, eight_bits: bool) -> int:
    """Tokens per block: 16 on GPUs, 128 on the CPU, `--block-size` else; MLA's kernels have sizes of their own."""
    asked = replica.settings.block_size
    latents = [cache for cache in _caches(replica.network) if isinstance(cache, LatentCache)]
    if replica.device.kind == "cpu":
        return 16 if latents else asked or 128
    if any(cache.index_dim for cache in latents):
        return 64
    own = _latent_block(replica, eight_bits=eight_bits) if latents else 16
    if latents and asked and asked % own and replica.version < _KERNELS_CHOSEN_FIRST:
        return own
    return asked or own


def _latent_block(replica: Replica, *, eight_bits: bool) -> int:
    """Tokens per block of dense MLA (vllm/platforms/cuda.py; from 0.18 on the preferred size of the kernel taken).

    Hopper takes FLASHMLA (64), and FLASH_ATTN_MLA (16) once it may choose, which keeps no 8-bit cache; datacenter
    Blackwell took CUTLASS_MLA (128), then FLASHINFER_MLA (64 forced, 32 preferred).
    """
    version = replica.version
    if is_sm100(replica.device):
        return 128 if version < (0, 15, 0) else 64 if version < _KERNELS_CHOSEN_FIRST else 32
    if replica.device.generation == "hopper" and (eight_bits or version < _KERNELS_CHOSEN_FIRST):
        return 64
    return 16


def _attention_page(cache: AttentionCache, rules: CacheRules) -> Page:
    heads = -(-cache.kv_heads // rules.ranks)
    size = rules.block_tokens * heads * (cache.key_dim + cache.value_dim) * rules.kv_element_bytes
    if cache.window is not None:
        return Page(Keeps.WINDOW, rules.block_tokens, size, reach=cache.window)
    if cache.chunk is not None:
        return Page(Keeps.CHUNK, rules.block_tokens, size, reach=cache.chunk)
    return Page(Keeps.ALL, rules.block_tokens, size)


def _latent_page(cache: LatentCache, rules: CacheRules) -> Page:
    size = (cache.latent_dim + cache.rope_dim) * rules.kv_element_bytes
    if rules.packed_latent and cache.index_dim:
        size = _PACKED_LATENT_BYTES
    return Page(Keeps.ALL, rules.block_tokens, rules.block_tokens * size, latent=True)


def _state_bytes(cache: StateCache, rules: CacheRules) -> int:
    total = 0
    for part in cache.parts:
        if part.elements % rules.ranks:
            message = f"{rules.ranks} ranks do not divide a recurrent state of {part.elements} numbers"
            raise SizingError("tensor_parallel_size", message)
        total += part.elements // rules.ranks * (part.element_bytes or rules.element_bytes)
    return total


def _largest_attention_page(network: Network, rules: CacheRules) -> int:
    pages = [_attention_page(cache, rules) for cache in _caches(network) if isinstance(cache, AttentionCache)]
    pages += [_latent_page(cache, rules) for cache in _caches(network) if isinstance(cache, LatentCache)]
    return max((page.page_bytes for page in pages), default=0)


def _caches(network: Network) -> list[Cache | None]:
    return [layer.cache for layer in network.layers]


def _aligned(network: Network, rules: CacheRules) -> CacheRules:
    """Enlarge the block of a hybrid until an attention page holds a whole recurrent state, as the engine does."""
    state = max(_state_bytes(cache, rules) for cache in _caches(network) if isinstance(cache, StateCache))
    latent = any(isinstance(cache, LatentCache) for cache in _caches(network))
    step = max(rules.block_tokens, 128) if latent else rules.block_tokens
    per_token = _largest_attention_page(network, rules) // rules.block_tokens
    if not per_token:
        return rules
    blocks = -(-state // (step * per_token))
    return replace(rules, block_tokens=max(rules.block_tokens, step * blocks))
