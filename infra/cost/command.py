"""`fleet cost`: from a plan and the words of the command line to the comparison with managed APIs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from infra.cost.against_api import FleetComparison, PoolWork, against_api
from infra.cost.fleet import CostLine
from infra.cost.managed_api import ApiPrice, Interaction, load_api_prices, mixed_price, stated_price
from infra.errors import SizingError
from infra.plan.fleet_plan import FleetPlan

DEFAULT_API = "gpt-4o-mini"
"""What the plan is compared with where no --api is given: a list price of managed_api.json."""

_LEAST, _MOST = 1e-6, 1e12
"""Numbers outside of these are slips of a finger, and would leave what floats can count."""

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Asked:
    """The options of `fleet cost` as texts: one for all pools, or POOL=VALUE for each."""

    tokens_in: Sequence[str] = ()
    tokens_out: Sequence[str] = ()
    tokens_cached: Sequence[str] = ()
    interactions_per_hour: Sequence[str] = ()
    replica_tokens_per_second: Sequence[str] = ()
    api: Sequence[str] = ()


def compare_plan(plan: FleetPlan, asked: Asked) -> FleetComparison | None:
    """The fleet against managed APIs; None where nothing was asked about one.

    Raises SizingError for words that are not understood, and for a fleet without a known price.
    """
    if asked == Asked():
        return None
    pools = [pool.name for pool in plan.pools]
    interactions = _interactions(asked, pools)
    prices = _by_pool("--api", asked.api, pools, _api_price)
    speeds = _by_pool("--replica-tokens-per-second", asked.replica_tokens_per_second, pools, _above_zero)
    loads = _loads(plan, asked.interactions_per_hour)
    lines = {line.name: line for line in plan.cost.pools}
    works = [
        PoolWork(
            pool=pool.name,
            replicas=pool.replicas,
            usd_per_hour=_dollars(plan, lines[pool.name]),
            interaction=interactions[pool.name],
            price=prices.get(pool.name, load_api_prices()[DEFAULT_API]),
            interactions_per_hour=loads.get(pool.name),
            tokens_per_s=speeds.get(pool.name),
        )
        for pool in plan.pools
    ]
    return against_api(works, _dollars(plan, plan.cost.idle) + _dollars(plan, plan.cost.servers))


def _dollars(plan: FleetPlan, line: CostLine) -> float:
    if plan.cost.unpriced or line.cost is None:
        text = "no price is known, and without one there is nothing to compare: give price_per_hour"
        raise SizingError(f"nodes.{plan.cost.unpriced[0]}", text)
    return line.cost.usd_per_hour


def _interactions(asked: Asked, pools: Sequence[str]) -> Mapping[str, Interaction]:
    """What one interaction of each pool is made of."""
    fresh = _by_pool("--tokens-in", asked.tokens_in, pools, _tokens)
    answer = _by_pool("--tokens-out", asked.tokens_out, pools, _tokens)
    cached = _by_pool("--tokens-cached", asked.tokens_cached, pools, _tokens)
    for flag, given in (("--tokens-in", fresh), ("--tokens-out", answer)):
        if missing := [pool for pool in pools if pool not in given]:
            raise SizingError(flag, f"say how many tokens an interaction of {missing[0]} has")
    try:
        return {pool: Interaction(fresh[pool], answer[pool], cached.get(pool, 0)) for pool in pools}
    except ValueError as error:
        raise SizingError("--tokens-in, --tokens-cached and --tokens-out", str(error)) from None


def _loads(plan: FleetPlan, texts: Sequence[str]) -> Mapping[str, float]:
    """Interactions per hour of each pool: its own, or the fleet's in proportion to the sessions."""
    flag = "--interactions-per-hour"
    if not any("=" not in text for text in texts):
        return _by_pool(flag, texts, [pool.name for pool in plan.pools], _above_zero)
    if len(texts) > 1:
        raise SizingError(flag, "give one number for the fleet, or POOL=NUMBER for each pool")
    sessions, load = sum(pool.sessions for pool in plan.pools), _above_zero(flag, texts[0])
    return {pool.name: load * pool.sessions / sessions for pool in plan.pools}


def _by_pool(
    flag: str, texts: Sequence[str], pools: Sequence[str], read: Callable[[str, str], _Value]
) -> dict[str, _Value]:
    """The value of each pool that has one; a pool's own counts more than that of all."""
    for_all = {pool: text for text in texts if "=" not in text for pool in pools}
    own = dict(text.split("=", 1) for text in texts if "=" in text)
    for pool in own:
        if pool not in pools:
            raise SizingError(flag, f"{pool!r} is no pool of the spec, which has {', '.join(pools)}")
    return {pool: read(flag, text) for pool, text in {**for_all, **own}.items()}


def _tokens(flag: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise SizingError(flag, f"must be a number of tokens, such as 900, not {text!r}")
    return int(text)


def _above_zero(flag: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not _LEAST <= number <= _MOST:
        raise SizingError(flag, f"must be a number above 0, not {text!r}")
    return number


def _api_price(flag: str, text: str) -> ApiPrice:
    """A price of managed_api.json by its name, or IN[/OUT[/CACHED]] in dollars per million tokens."""
    known = load_api_prices()
    if text in known:
        return known[text]
    try:
        rates = [float(part) for part in text.split("/")]
    except ValueError:
        rates = []
    if not 1 <= len(rates) <= 3 or not all(_LEAST <= rate <= _MOST for rate in rates):
        form = "IN[/OUT[/CACHED]] in dollars per million tokens"
        raise SizingError(flag, f"{text!r} is neither one of {', '.join(known)} nor {form}")
    return mixed_price(rates[0]) if len(rates) == 1 else stated_price(*rates)
