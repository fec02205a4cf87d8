"""vLLM's page rule: block counts of start logs, met to the token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import SizingError
from infra.memory.pages import Keeps, Page, build_pool

GIB = 1 << 30


def pool(*kinds, version=(0, 19, 0), in_flight=2048):
    """A pool of `count` layers for each (count, page), in turn."""
    return build_pool(
        [(i, page) for i, page in enumerate(p for count, p in kinds for _ in range(count))],
        version,
        in_flight,
    )


def full(page_bytes, tokens=16):
    return Page(Keeps.ALL, tokens, page_bytes)


def window(page_bytes, reach, tokens=16):
    return Page(Keeps.WINDOW, tokens, page_bytes, reach=reach)


def state(page_bytes, states=1, tokens=16):
    return Page(Keeps.STATE, tokens, page_bytes, states=states)


def logged(made, kv_bytes, length):
    return made.logged(kv_bytes // made.block_bytes(0, 1000), length)


@pytest.mark.parametrize("version", [(0, 20, 0), (0, 32, 0)])
def test_ranks_that_deal_out_the_tokens_hold_as_many_sequences_more(version):
    """Each of 8 ranks keeps an 8th of a sequence, rounded up to whole blocks, and the log counts all of them."""
    pages = [(index, full(16 * 1152)) for index in range(61)]
    alone, dealt = (build_pool(pages, version, 2048, ranks) for ranks in (1, 8))
    assert dealt.blocks_per_sequence(131_072) == alone.blocks_per_sequence(131_072) // 8
    assert dealt.blocks_per_sequence(100) == 1
    tokens, concurrency = dealt.logged(10_000, 131_072)
    assert (tokens, concurrency) == (8 * 160_000, pytest.approx(8 * 160_000 / 131_072))


def test_gemma_4_on_vllm_0_20_0():
    """25 windowed layers of 8 heads of 256 and 5 full ones of 2 heads of 512: six groups of five layers."""
    made = pool((25, window(16 * 8192, 1024)), (5, full(16 * 4096)), version=(0, 20, 0), in_flight=4096)
    assert len(made.groups) == 6
    tokens, concurrency = logged(made, int(44.03 * GIB), 8192)
    assert tokens == 192_368
    assert round(concurrency, 2) == 38.76


def test_qwen_35_on_four_gpus_with_vllm_0_19_0():
    """24 delta nets and 8 attention layers with blocks of 528 tokens, no prefix caching: one state a sequence."""
    page = 528 * 1024
    made = pool((24, state(page, tokens=528)), (8, full(page, 528)))
    tokens, concurrency = logged(made, 3811 * 8 * page, 32768)
    assert tokens == 502_656
    assert round(concurrency, 2) == 57.74


def test_qwen_36_on_vllm_0_24_0_with_prefix_caching():
    """30 delta nets and 10 attention layers with blocks of 2096 tokens of 8 bits; prefix caching keeps two states."""
    page = 2096 * 1024
    made = pool((30, state(page, 2, 2096)), (10, full(page, 2096)), version=(0, 24, 0))
    tokens, concurrency = logged(made, int(5.98 * GIB), 131072)
    assert tokens == 567_978
    assert round(concurrency, 2) == 4.33


def test_a_plain_model_counts_blocks_of_all_layers():
    made = pool((32, full(16 * 4096)))
    assert logged(made, int(58.11 * GIB), 2048)[0] == pytest.approx(476_016, rel=2e-4)


def test_layers_that_remember_alike_share_one_group_however_wide_they_are():
    made = pool((2, full(1000)), (3, full(600)))
    assert len(made.groups) == 1
    assert made.block_bytes(0, 5) == 2 * 1000 + 3 * 600


def test_before_the_hybrid_manager_a_window_saved_no_memory():
    made = pool((2, full(1024)), (2, window(1024, 128)), version=(0, 8, 5))
    assert len(made.groups) == 1
    assert made.blocks_per_sequence(4096) == 4096 // 16


def test_almost_equal_kinds_are_padded_to_the_larger():
    made = pool((12, window(1024, 128)), (13, full(1024)))
    assert [len(group.pages) for group in made.groups] == [12, 13]
    assert made.block_bytes(0, 25) == 13 * 1024


def test_a_pipeline_stage_pays_for_its_own_layers():
    made = pool((32, full(1024)))
    assert made.block_bytes(0, 16) == 16 * 1024


def test_pages_that_cannot_be_brought_to_one_size_are_refused():
    pages = [(0, Page(Keeps.ALL, 16, 1000, latent=True)), (1, window(1536, 64))]
    with pytest.raises(SizingError, match="cannot share a pool"):
        build_pool(pages, (0, 32, 0), 2048)


def test_a_chunk_caps_what_a_sequence_holds():
    chunk = Page(Keeps.CHUNK, 16, 1024, reach=8192)
    assert chunk.blocks(100_000, 2048) == (8192 + 2048) // 16
    assert chunk.blocks(1000, 2048) == 63


KINDS = st.sampled_from([full(4096), full(8192), window(4096, 512), window(8192, 128), state(8192, 2)])


@given(st.lists(st.tuples(st.integers(1, 40), KINDS), min_size=1, max_size=3), st.integers(1, 200_000))
def test_no_layer_is_lost_and_longer_sequences_never_need_less(kinds, length):
    made = pool(*kinds)
    assert sum(len(group.pages) for group in made.groups) == sum(count for count, _ in kinds)
    assert made.blocks_per_sequence(length + 1) >= made.blocks_per_sequence(length) >= 1
