"""How long contexts get under each strategy, and what the strategy takes for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.spec.kinds import ContextStrategy, Topology
from infra.spec.workload import ToolCalls, Workload
from infra.topology import (
    ContextEffect,
    Session,
    context_effect,
    prefix_bonus,
    slide_window,
    split_by_length,
    summarise,
)

SESSIONS = st.builds(Session, st.integers(128, 20_000), st.integers(0, 200), st.integers(0, 3000))
RESEARCH = Session(start_tokens=2000, calls=96, call_tokens=500)
"""A research agent that reads until it holds 50,000 tokens."""


@pytest.mark.parametrize(
    ("start", "calls", "tokens", "grown", "growth"),
    [(1250, 5, 500, 3750, 3.0), (8192, 5, 500, 10_692, 1.305), (8192, 0, 500, 8192, 1.0)],
)
def test_what_a_tool_call_appends_stays_for_the_rest_of_the_session(
    start: int, calls: int, tokens: int, grown: int, growth: float
) -> None:
    session = Session(start, calls, tokens)
    assert session.grown_tokens == grown
    assert session.growth == pytest.approx(growth, abs=5e-4)


def test_a_research_session_under_every_strategy() -> None:
    assert RESEARCH.grown_tokens == 50_000
    assert slide_window(RESEARCH, 8192) == ContextEffect(8192, 0, 0, 84 * (8192 - 500), 50_000 - 8192)
    assert slide_window(RESEARCH, 8192, pinned_tokens=2000).recomputed_tokens == 84 * (8192 - 2000 - 500)
    assert summarise(RESEARCH) == ContextEffect(
        peak_tokens=2000 + 9 * 500 + 5000,
        extra_calls=9,
        extra_output_tokens=4500,
        recomputed_tokens=4500,
        lost_tokens=9 * 4500,
    )
    assert summarise(RESEARCH, recent_tokens=2000).peak_tokens == 2000 + 9 * 500 + 7000


def workload(session: Session, strategy: ContextStrategy, **numbers: int) -> Workload:
    calls = ToolCalls(count=session.calls, tokens=session.call_tokens) if session.call_tokens else None
    return Workload(
        topology=Topology.FLAT,
        agents=1,
        workflows=1,
        context_tokens=session.start_tokens,
        tool_calls=calls,
        context_strategy=strategy,
        **numbers,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("strategy", "numbers", "peak", "extra_calls", "recomputed"),
    [
        ("cap", {}, 14_192, 0, 0),
        ("sliding_window", {}, 8192, 0, 12 * (8192 - 500)),
        ("sliding_window", {"window_tokens": 12_000}, 12_000, 0, 5 * (12_000 - 500)),
        ("sliding_window", {"window_tokens": 4096}, 4096, 0, 12 * (4096 - 500)),
        (
            "sliding_window",
            {"window_tokens": 4096, "shared_prefix_tokens": 1024},
            4096,
            0,
            12 * (4096 - 1524),
        ),
        ("sliding_window", {"window_tokens": 20_000}, 14_192, 0, 0),
        ("summarise", {}, 13_692, 1, 500),
        ("summarise", {"checkpoint_tokens": 2000}, 11_692, 3, 1500),
        ("summarise", {"checkpoint_tokens": 2000, "summary_tokens": 100}, 10_492, 3, 300),
    ],
)
def test_the_strategies_of_a_spec_start_from_its_context_tokens(
    strategy: str, numbers: dict[str, int], peak: int, extra_calls: int, recomputed: int
) -> None:
    session = Session(8192, calls=12, call_tokens=500)
    effect = context_effect(workload(session, ContextStrategy(strategy), **numbers))
    assert (effect.peak_tokens, effect.extra_calls, effect.recomputed_tokens) == (
        peak,
        extra_calls,
        recomputed,
    )


@given(SESSIONS, st.sampled_from(ContextStrategy))
def test_no_strategy_peaks_above_the_grown_session_and_its_last_summary(
    session: Session, strategy: ContextStrategy
) -> None:
    effect = context_effect(workload(session, strategy))
    assert session.start_tokens <= effect.peak_tokens
    assert effect.peak_tokens <= session.grown_tokens + effect.extra_calls * 500
    assert 0 <= effect.lost_tokens <= session.grown_tokens


@given(SESSIONS, st.integers(1, 40_000), st.integers(0, 2000))
def test_a_window_is_never_exceeded_and_a_wide_one_takes_nothing(
    session: Session, window: int, pinned: int
) -> None:
    effect = slide_window(session, window, pinned)
    assert effect.peak_tokens == min(window, session.grown_tokens)
    assert effect.lost_tokens == session.grown_tokens - effect.peak_tokens
    if window >= session.grown_tokens:
        assert effect == ContextEffect(session.grown_tokens)
    assert effect.extra_calls == 0


@given(SESSIONS, st.integers(1, 40_000))
def test_a_window_shifts_once_for_each_call_that_ends_above_it(session: Session, window: int) -> None:
    ends = [session.start_tokens + (call + 1) * session.call_tokens for call in range(session.calls)]
    over = sum(end > window for end in ends) if session.call_tokens else 0
    assert slide_window(session, window).recomputed_tokens == over * max(0, window - session.call_tokens)


@given(SESSIONS, st.integers(100, 6000), st.integers(1, 99), st.integers(0, 3000))
def test_summaries_account_for_every_token(
    session: Session, checkpoint: int, summary: int, recent: int
) -> None:
    effect = summarise(session, checkpoint, summary, recent)
    appended = session.calls * session.call_tokens
    verbatim = appended - effect.extra_calls * checkpoint
    assert 0 <= verbatim < checkpoint + recent
    assert effect.extra_output_tokens == effect.extra_calls * summary
    assert effect.lost_tokens == effect.extra_calls * (checkpoint - summary)
    longest = session.start_tokens + effect.extra_calls * summary + checkpoint + recent + session.call_tokens
    assert effect.peak_tokens <= longest


@given(st.integers(1, 2000), st.floats(0, 1), st.integers(1000, 9000), st.integers(9000, 200_000))
def test_both_pools_together_seat_every_session(sessions: int, share: float, cap: int, longest: int) -> None:
    split = split_by_length(sessions, share, cap, longest)
    assert sessions <= split.short_sessions + split.long_sessions <= 2 * sessions
    assert split.long_sessions >= int(share * sessions)


def test_one_session_in_twenty_costs_a_fraction_of_what_the_cap_saves() -> None:
    split = split_by_length(100, 0.05, 8192, 51_200)
    assert (split.short_sessions, split.long_sessions) == (98, 9)  # 95 and 5 on average
    assert split.kv_tokens == 98 * 8192 + 9 * 51_200
    assert split.kv_tokens / (100 * 51_200) == pytest.approx(0.247, abs=1e-3)
    assert split.recomputed_tokens == 8192


@pytest.mark.parametrize(("share", "short", "long"), [(0.0, 100, 0), (1.0, 0, 100)])
def test_no_long_sessions_need_no_long_pool(share: float, short: int, long: int) -> None:
    split = split_by_length(100, share, 8192, 51_200)
    assert (split.short_sessions, split.long_sessions) == (short, long)


@pytest.mark.parametrize(
    ("context", "shared", "sessions", "saved_share", "extra"),
    [
        (8192, 0, 100, 0.0, 0),
        (8192, 2048, 100, 0.2475, 33),
        (8192, 2048, 1, 0.0, 0),
        (8192, 15, 100, 0.0, 0),
        (8192, 2047, 2, 2032 / 16_384, 0),
        (8192, 8192, 2, 8176 / 16_384, 511),
        (8192, 2048, 0, 0.0, 0),
    ],
)
def test_a_shared_prefix_is_kept_once_in_whole_blocks(
    context: int, shared: int, sessions: int, saved_share: float, extra: int
) -> None:
    bonus = prefix_bonus(context, shared, sessions)
    assert bonus.saved_share == pytest.approx(saved_share)
    assert bonus.extra_sessions == extra


@given(st.integers(128, 100_000), st.floats(0, 1), st.integers(1, 1000))
def test_the_extra_sessions_fit_into_what_the_prefix_frees(context: int, part: float, sessions: int) -> None:
    shared = int(part * context)
    bonus = prefix_bonus(context, shared, sessions)
    blocks = min(shared, context - 1) // 16 * 16
    with_bonus = blocks + (sessions + bonus.extra_sessions) * (context - blocks)
    assert with_bonus <= sessions * context
    assert with_bonus + context - blocks > sessions * context
    assert bonus.saved_share <= part
