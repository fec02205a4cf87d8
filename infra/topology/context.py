"""How long a session's context gets: tool calls make it grow, and three strategies hold it down, each at a price.

KV cache is sized for `peak_tokens`, which becomes --max-model-len. The price of a strategy is in the other fields:
calls of the model that the agent did not ask for, tokens that are computed again because the text in front of them
changed (no prefix cache can help there), and tokens of which nothing remains.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.spec.kinds import ContextStrategy
from infra.spec.workload import CHECKPOINT_TOKENS, SUMMARY_TOKENS, Workload


@dataclass(frozen=True)
class Session:
    """One session: the tokens that it has anyway, prompt and answer, and the tool calls that each append theirs."""

    start_tokens: int
    calls: int = 0
    call_tokens: int = 0

    @property
    def grown_tokens(self) -> int:
        """Tokens at the end, if nothing is left out: what a call appends stays for the rest of the session."""
        return self.start_tokens + self.calls * self.call_tokens

    @property
    def growth(self) -> float:
        """How many times the KV cache of a session without tool calls the grown one takes."""
        return self.grown_tokens / self.start_tokens


@dataclass(frozen=True)
class ContextEffect:
    """What a strategy does to one session."""

    peak_tokens: int
    extra_calls: int = 0
    extra_output_tokens: int = 0
    recomputed_tokens: int = 0
    lost_tokens: int = 0


def context_effect(workload: Workload) -> ContextEffect:
    """What the strategy of a spec does to its sessions, which start with `context_tokens`.

    A capped session must hold all that it grows to; the few that outgrow it may have a pool of their own. A window is
    as long as the start unless the spec says otherwise, and keeps the shared prefix. Summaries replace what the tool
    calls append; the start stays as it is.
    """
    session = session_of(workload)
    match workload.context_strategy:
        case ContextStrategy.CAP:
            return ContextEffect(peak_tokens=session.grown_tokens)
        case ContextStrategy.SLIDING_WINDOW:
            window_tokens = workload.window_tokens or workload.context_tokens
            return slide_window(session, window_tokens, workload.shared_prefix_tokens)
        case ContextStrategy.SUMMARISE:
            return summarise(
                session,
                workload.checkpoint_tokens or CHECKPOINT_TOKENS,
                workload.summary_tokens or SUMMARY_TOKENS,
            )


def session_of(workload: Workload) -> Session:
    """One session of this workload."""
    calls = workload.tool_calls
    return Session(workload.context_tokens, calls.count if calls else 0, calls.tokens if calls else 0)


def slide_window(session: Session, window_tokens: int, pinned_tokens: int = 0) -> ContextEffect:
    """Drop the oldest tokens once the window is full, all but the first `pinned_tokens` (a system prompt).

    It takes no extra call, but from then on every request starts with other text than the one before it: of the
    prefix cache only the pinned part is still good, and the rest of the window is computed again, call after call.
    """
    if session.grown_tokens <= window_tokens:
        return ContextEffect(peak_tokens=session.grown_tokens)
    over = session.grown_tokens - window_tokens
    calls_over = min(session.calls, -(-over // session.call_tokens)) if session.call_tokens else 0
    shifted_tokens = max(0, window_tokens - pinned_tokens - session.call_tokens)
    return ContextEffect(
        peak_tokens=window_tokens, recomputed_tokens=calls_over * shifted_tokens, lost_tokens=over
    )


def summarise(
    session: Session,
    checkpoint_tokens: int = CHECKPOINT_TOKENS,
    summary_tokens: int = SUMMARY_TOKENS,
    recent_tokens: int = 0,
) -> ContextEffect:
    """Replace the oldest `checkpoint_tokens` that calls appended by a summary, as often as so many are there.

    The newest `recent_tokens` stay verbatim. Each checkpoint is one extra call, which reads the context as it stands
    in the cache and writes the summary; the summary and the text after it are then computed anew. The peak is the
    longest context of any call, the summary being written included.
    """
    verbatim, checkpoints, recomputed, peak = 0, 0, 0, session.start_tokens
    for _ in range(session.calls):
        verbatim += session.call_tokens
        peak = max(peak, session.start_tokens + checkpoints * summary_tokens + verbatim)
        while verbatim >= checkpoint_tokens + recent_tokens:
            checkpoints += 1
            peak = max(peak, session.start_tokens + checkpoints * summary_tokens + verbatim)
            verbatim -= checkpoint_tokens
            recomputed += summary_tokens + verbatim
    return ContextEffect(
        peak_tokens=peak,
        extra_calls=checkpoints,
        extra_output_tokens=checkpoints * summary_tokens,
        recomputed_tokens=recomputed,
        lost_tokens=checkpoints * (checkpoint_tokens - summary_tokens),
    )
