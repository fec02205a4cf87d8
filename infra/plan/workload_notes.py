"""What the workload does to the plan, in sentences: growth by tool calls, the price of a context strategy, what shared
prefixes would give on top, how unevenly affinity spreads sessions, and how sure the seats are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from infra.affinity import usual_imbalance
from infra.plan.choices import Choice
from infra.plan.demand import length_split, sessions_of
from infra.plan.fleet_plan import Note
from infra.plan.text import count_text
from infra.spec import ContextStrategy, FleetSpec, GatewayKind, Workload
from infra.spec.workload import LongSessions
from infra.topology import Confidence, ContextEffect, context_effect, prefix_bonus, seats_within, session_of


def context_notes(spec: FleetSpec) -> Iterator[Note]:
    """What a session grows to, and what holding it down costs."""
    workload, effect = spec.workload, context_effect(spec.workload)
    grown_tokens = session_of(workload).grown_tokens
    if calls := workload.tool_calls:
        held = f", held at {effect.peak_tokens}" if effect.peak_tokens < grown_tokens else ""
        text = f"{calls.count} calls x {calls.tokens} tokens grow a session to {grown_tokens} tokens{held}"
        yield Note("info", "workload.tool_calls", text)
    if workload.context_strategy is not ContextStrategy.CAP:
        yield _strategy_note(workload, effect, grown_tokens)
    if workload.long_sessions:
        yield _long_note(workload, workload.long_sessions)


def _strategy_note(workload: Workload, effect: ContextEffect, grown_tokens: int) -> Note:
    """The two sides of a strategy: KV cache that it saves, and what each session pays for it."""
    strategy, place = workload.context_strategy, "workload.context_strategy"
    costs = [
        count_text(effect.extra_calls, "extra call") if effect.extra_calls else "",
        f"{effect.recomputed_tokens} tokens computed again" if effect.recomputed_tokens else "",
        f"{effect.lost_tokens} tokens of which nothing remains" if effect.lost_tokens else "",
    ]
    price = ", ".join(cost for cost in costs if cost)
    if not price:
        text = f"{strategy} changes nothing: no session grows beyond {effect.peak_tokens} tokens"
        return Note("warning", place, f"{text}, where it would begin")
    saved = 1 - effect.peak_tokens / grown_tokens
    gain = f"saves {saved:.0%} of a session's KV cache" if saved > 0 else "saves no KV cache at the peak"
    return Note("info" if saved > 0 else "warning", place, f"{strategy} {gain} and costs it {price}")


def _long_note(workload: Workload, long: LongSessions) -> Note:
    """What the pool for long sessions saves against a context that holds the longest in every pool."""
    split = length_split(workload, long)
    uncapped_tokens = sessions_of(workload) * long.context_tokens
    text = (
        f"up to {count_text(split.long_sessions, 'session')} at once outgrow {split.short_tokens} tokens and move to "
        f"the pools with the role long, where those tokens are computed once more; all pools together hold "
        f"{split.kv_tokens} tokens at full context instead of {uncapped_tokens}"
    )
    return Note("info", "workload.long_sessions", text)


def seat_notes(spec: FleetSpec, choice: Choice) -> Iterator[Note]:
    """How sure the seats of one pool are, and what a shared prefix would add."""
    shape, demand, place = choice.shape, choice.demand, f"pools.{choice.demand.pool}"
    seats = seats_within(shape.memory)
    if shape.seats_all and seats.confidence(shape.peak_sessions) is not Confidence.SURE:
        text = (
            f"a peak of {shape.peak_sessions} sessions fits by the plan ({seats.planned} seats), and not if the KV "
            f"cache is at the low end of what the memory model allows ({seats.low} seats): the gate will tell"
        )
        yield Note("warning", place, text)
    if shared := spec.workload.shared_prefix_tokens:
        bonus = prefix_bonus(demand.context_tokens, shared, shape.peak_sessions, shape.memory.block_size)
        text = f"the shared prefix saves up to {bonus.saved_share:.0%} of KV cache; no seat is planned on it"
        yield Note("info", place, text)


def spread_notes(spec: FleetSpec, choice: Choice) -> Iterator[Note]:
    """What the busiest replica gets: behind a gateway of these very replicas, without one if a gateway hashed."""
    shape, sessions, hashed = choice.shape, choice.demand.sessions, spec.gateway.kind is not GatewayKind.NONE
    if shape.replicas < 2:
        return
    peak = choice.peak_sessions if hashed else usual_imbalance(shape.replicas, sessions).peak_sessions
    who = f"the busiest of {shape.replicas} replicas gets up to {peak} of {sessions} sessions"
    how = f"{peak * shape.replicas / sessions:.2f} times the mean, 95th percentile"
    short = f", more than its {shape.slots} slots" if peak > shape.slots else ""
    when = "hashed by session" if hashed else "if a gateway hashed by session"
    bound = (
        f", held to {spec.gateway.load_factor:g} times the mean"
        if hashed and spec.gateway.load_factor
        else ""
    )
    severity: Literal["info", "warning"] = "warning" if short and hashed else "info"
    yield Note(severity, f"pools.{choice.demand.pool}", f"{when}{bound}, {who} ({how}){short}")
