"""Pages of the KV cache: how vLLM divides the pool into blocks that several kinds of layers share.

One block id names a page in every layer of a group. A model whose layers all remember alike has one group; a hybrid
is cut into groups of equally many layers, whose pages are brought to one size, and every group draws its blocks from
one pool. Exact (vllm/v1/core/kv_cache_utils.py and v1/kv_cache_interface.py, read in 0.8.5 to 0.32.0): token counts of
start logs of Gemma 4, Qwen 3.5 and gpt-oss are met to the token.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from infra.errors import SizingError
from infra.memory.versions import Version


class Keeps(enum.Enum):
    """What a layer remembers of a sequence."""

    ALL = "every token"
    WINDOW = "the last tokens"
    CHUNK = "the current chunk of tokens"
    STATE = "a state of fixed size"


@dataclass(frozen=True, slots=True)
class Page:
    """One layer's share of one block: `page_bytes` hold `tokens` tokens, or one state.

    `reach` is the window or chunk in tokens, `states` how many states a sequence holds, `latent` whether it is MLA's
    (whose pages cannot be padded).
    """

    keeps: Keeps
    tokens: int
    page_bytes: int
    reach: int = 0
    states: int = 0
    latent: bool = False

    def blocks(self, length_tokens: int, in_flight_tokens: int) -> int:
        """Blocks that one sequence of `length_tokens` holds at most."""
        if self.keeps is Keeps.STATE:
            return self.states
        if self.keeps is Keeps.WINDOW:
            return -(-min(self.reach - 1 + in_flight_tokens, length_tokens) // self.tokens) + 1
        if self.keeps is Keeps.CHUNK:
            return -(-min(self.reach + in_flight_tokens, length_tokens) // self.tokens)
        return -(-length_tokens // self.tokens)


@dataclass(frozen=True)
class Group:
    """Pages that are handed out together, by the index of their layer."""

    pages: tuple[tuple[int, Page], ...]

    def block_bytes(self, first_layer: int, end_layer: int) -> int:
        """Bytes of one block in the layers of one pipeline stage."""
        return sum(page.page_bytes for index, page in self.pages if first_layer <= index < end_layer)

    def blocks(self, length_tokens: int, in_flight_tokens: int) -> int:
        """Blocks that one sequence takes from this group."""
        return max(page.blocks(length_tokens, in_flight_tokens) for _, page in self.pages)

    @property
    def block_tokens(self) -> int:
        """Tokens of one block."""
        return self.pages[0][1].tokens


@dataclass(frozen=True)
class Pool:
    """The groups of a model and what a log line of that version counts.

    Decode context parallelism deals the tokens of a sequence out to `context_ranks` ranks; states stay on each.
    """

    groups: tuple[Group, ...]
    version: Version
    in_flight_tokens: int
    context_ranks: int = 1

    def block_bytes(self, first_layer: int, end_layer: int) -> int:
        """Bytes of one block on a GPU that holds these layers: the widest group decides."""
        return max((group.block_bytes(first_layer, end_layer) for group in self.groups), default=0)

    def blocks_per_sequence(self, length_tokens: int) -> int:
        """Blocks that a sequence of this length takes from the pool."""
        here = -(-length_tokens // self.context_ranks)
        return sum(group.blocks(here, self.in_flight_tokens) for group in self.groups)

    def fits(self, blocks: int, length_tokens: int) -> bool:
        """Whether the engine starts: one sequence of this length fits beside the block that stays empty.

        That block is counted from 0.29 on (not yet in 0.28.0, in 0.30.0 it is).
        """
        empty = 1 if self.version >= (0, 29, 0) else 0
        return bool(self.groups) and blocks >= self.blocks_per_sequence(length_tokens) + empty

    def logged(self, blocks: int, max_model_len: int) -> tuple[int, float]:
        """ "GPU KV cache size" in tokens and "Maximum concurrency", as this version logs them at start.

        From 0.20.1 on the tokens are the concurrency times the length; before, the blocks divided over the groups.
        """
        if not self.groups:
            return 0, 0.0
        concurrency = blocks / self.blocks_per_sequence(max_model_len)
        if self.version >= (0, 20, 1):
            return int(concurrency * max_model_len), concurrency
        tokens = blocks // len(self.groups) * min(group.block_tokens for group in self.groups)
        tokens *= self.context_ranks
        return tokens, concurrency if self.version >= (0, 9, 0) else tokens / max_model_len


def build_pool(
    pages: Sequence[tuple[int, Page]], version: Version, in_flight_tokens: int, context_ranks: int = 1
) -> Pool:
    """Group the pages of all layers as this version does."""
    if version < (0, 9, 0):  # before the hybrid cache manager a window saved computing, not memory
        if any(page.keeps is Keeps.STATE for _, page in pages):
            raise SizingError(
                "vllm_version", "what versions before 0.9 keep for recurrent layers is not understood"
            )
        pages = [(index, _remembers_all(page)) for index, page in pages]
    if not pages or _alike(pages):
        groups: tuple[Group, ...] = (Group(tuple(pages)),) if pages else ()
    else:
        groups = _equal_groups(_one_page_size(pages, version))
    return Pool(groups, version, in_flight_tokens, context_ranks)


def _remembers_all(page: Page) -> Page:
    return replace(page, keeps=Keeps.ALL, reach=0) if page.keeps is not Keeps.STATE else page


def _alike(pages: Sequence[tuple[int, Page]]) -> bool:
    """Whether all layers need the same slots per token, even if of different width."""
    return len({(page.keeps, page.tokens, page.reach, page.states) for _, page in pages}) == 1


def _one_page_size(pages: Sequence[tuple[int, Page]], version: Version) -> list[tuple[int, Page]]:
    """Bring all pages to the largest: a smaller page that divides it holds more tokens, another is padded."""
    largest = max(page.page_bytes for _, page in pages)
    return [(index, _grown(page, largest, version)) for index, page in pages]


def _grown(page: Page, largest: int, version: Version) -> Page:
    if page.page_bytes == largest or page.keeps is Keeps.STATE:
        return replace(page, page_bytes=largest)
    if largest % page.page_bytes == 0:
        return replace(page, page_bytes=largest, tokens=page.tokens * (largest // page.page_bytes))
    if page.latent or version < (0, 23, 0):
        message = (
            f"layers with pages of {page.page_bytes} and {largest} bytes cannot share a pool in this version"
        )
        raise SizingError("vllm_version", message)
    return replace(page, page_bytes=largest)


def _equal_groups(pages: Sequence[tuple[int, Page]]) -> tuple[Group, ...]:
    """Groups of as many layers as the rarest kind has, or as the commonest where that is hardly more."""
    kinds: dict[Page, list[tuple[int, Page]]] = {}
    for index, page in pages:
        kinds.setdefault(page, []).append((index, page))
    fewest, most = (choose(len(layers) for layers in kinds.values()) for choose in (min, max))
    size = most if most < 1.5 * fewest else fewest
    groups: list[Group] = []
    for layers in kinds.values():
        count = -(-len(layers) // size)
        groups.extend(Group(tuple(layers[start::count])) for start in range(count))
    return tuple(groups)
