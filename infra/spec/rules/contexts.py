"""Rules about contexts: each strategy has keys of its own, and what replaces tokens is shorter than they are."""

from __future__ import annotations

from collections.abc import Iterator

from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.kinds import ContextStrategy
from infra.spec.workload import CHECKPOINT_TOKENS, SUMMARY_TOKENS, Workload

_STRATEGY_OF = {
    "window_tokens": ContextStrategy.SLIDING_WINDOW,
    "checkpoint_tokens": ContextStrategy.SUMMARISE,
    "summary_tokens": ContextStrategy.SUMMARISE,
    "long_sessions": ContextStrategy.CAP,
}


def strategy_settings_go_with_their_strategy(spec: FleetSpec) -> Iterator[Fault]:
    """A number of another strategy would be ignored."""
    workload = spec.workload
    for key, strategy in _STRATEGY_OF.items():
        if getattr(workload, key) is not None and workload.context_strategy is not strategy:
            chosen = workload.context_strategy
            text = f"goes with context_strategy: {strategy} only, and it is {chosen}: change one of them"
            yield Fault(("workload", key), text)


def summaries_are_shorter_than_what_they_replace(spec: FleetSpec) -> Iterator[Fault]:
    """Else every checkpoint would make the context longer. A default stands for a number that is not given."""
    workload = spec.workload
    checkpoint = workload.checkpoint_tokens or CHECKPOINT_TOKENS
    summary = workload.summary_tokens or SUMMARY_TOKENS
    if workload.context_strategy is ContextStrategy.SUMMARISE and summary >= checkpoint:
        key = "checkpoint_tokens" if workload.summary_tokens is None else "summary_tokens"
        text = f"makes a summary of {summary} tokens for every {checkpoint}: it must be shorter than what it replaces"
        yield Fault(("workload", key), text)


def windows_keep_more_than_the_shared_prefix(spec: FleetSpec) -> Iterator[Fault]:
    """The prefix stays in the window, so nothing of a session would be left beside it."""
    workload = spec.workload
    if workload.window_tokens is not None and workload.window_tokens <= workload.shared_prefix_tokens:
        prefix = workload.shared_prefix_tokens
        text = f"must be more than the {prefix} of shared_prefix_tokens, which stay in the window"
        yield Fault(("workload", "window_tokens"), text)


def long_sessions_are_longer(spec: FleetSpec) -> Iterator[Fault]:
    """The pool of long sessions holds more than all others grow to."""
    long, grown = spec.workload.long_sessions, _grown_tokens(spec.workload)
    if long is not None and long.context_tokens <= grown:
        text = f"must be more than the {grown} tokens that every session may grow to"
        yield Fault(("workload", "long_sessions", "context_tokens"), text)


def _grown_tokens(workload: Workload) -> int:
    calls = workload.tool_calls
    return workload.context_tokens + (calls.count * calls.tokens if calls else 0)
