"""What the affinity bench measures with: traces, the stand-in's prefix cache, the reference router, the shares."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from bench.affinity.engine_stand_in import BLOCK_TOKENS, PrefixCache
from bench.affinity.routers import StickyLeastLoaded
from bench.affinity.stays import counted, stayed_share
from bench.affinity.trace import Session, Shape, best_hit_share, make_session, unlucky_keys
from infra.affinity import build_ring

SHAPE = Shape(turns=4, first_words=50, question_words=10, answer_words=5, think_s=1)


def test_the_prompt_of_a_turn_begins_with_the_prompt_of_the_turn_before() -> None:
    session = make_session("a", 0, SHAPE)
    prompts = [session.messages(turn) for turn in range(SHAPE.turns)]
    for before, now in pairwise(prompts):
        assert now[: len(before)] == before
        assert len(now) == len(before) + 2
    assert make_session("a", 0, SHAPE) == session
    assert make_session("b", 0, SHAPE).messages(0) != session.messages(0)


def test_unlucky_keys_fall_as_asked_on_every_ring() -> None:
    rings = [build_ring({f"127.0.0.1:{first + n}": 1 for n in range(3)}) for first in (19001, 19011)]
    keys = unlucky_keys(rings, (12, 5, 3), "seed")
    assert len(set(keys)) == 20
    for ring in rings:
        assert [Counter(map(ring.server_of, keys))[server] for server in ring.servers] == [12, 5, 3]


def test_the_best_hit_share_counts_whole_blocks_of_the_turn_before() -> None:
    lengths = (100, 300, 384)
    session = make_session("a", 0, Shape(3, 1, 1, 1, 1))

    def tokens_of(_: Session, turn: int) -> int:
        return lengths[turn]

    # 100 tokens are no whole block of 128; 300 are two of them.
    assert best_hit_share([session], tokens_of, 128) == 256 / sum(lengths)


def test_a_block_that_ends_with_the_prompt_is_no_hit_since_one_token_is_computed() -> None:
    cache = PrefixCache(kv_tokens=100 * BLOCK_TOKENS)
    prompt = [str(n) for n in range(2 * BLOCK_TOKENS)]
    assert [cache.take(prompt), cache.take(prompt), cache.take([*prompt, "more"])] == [
        0,
        BLOCK_TOKENS,
        2 * BLOCK_TOKENS,
    ]


def test_the_prompt_that_was_used_least_recently_loses_its_end_first() -> None:
    cache = PrefixCache(kv_tokens=4 * BLOCK_TOKENS)
    old, new = ([f"{name}{n}" for n in range(2 * BLOCK_TOKENS + 1)] for name in ("old", "new"))
    other = ["other"] * (BLOCK_TOKENS + 1)
    assert [cache.take(prompt) for prompt in (old, new, other)] == [0, 0, 0]
    assert cache.take(old) == BLOCK_TOKENS


def test_a_new_session_goes_where_the_fewest_live_ones_are_and_stays() -> None:
    router = StickyLeastLoaded(("a", "b"))
    assert [router.address_for(key) for key in ("1", "2", "3", "1", "2")] == ["a", "b", "a", "a", "b"]
    router.forget("1")
    router.forget("3")
    assert router.address_for("4") == "a"


def test_only_follow_up_turns_count_and_an_unanswered_one_did_not_stay() -> None:
    asked = [("s", 0, "a"), ("s", 1, "a"), ("t", 0, "b"), ("t", 1, ""), ("t", 2, "b"), ("s", 2, "b")]
    answers = [{"session": session, "turn": turn, "replica": replica} for session, turn, replica in asked]
    assert stayed_share(answers) == 1 / 4


def test_a_counter_is_the_sum_of_its_samples_on_all_pages() -> None:
    page = '# TYPE hits counter\nhits{engine="0"} 3.0\nhits{engine="1"} 4.0\nhits_created 9.0\n'
    assert counted([page, "hits 1\n"], "hits") == 8
