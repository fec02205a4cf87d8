"""When replicas of one's own cost less than a managed API: as often written, pro rata, and as a replica is billed.

Pro rata charges a replica only for the interactions that it serves, P_gpu x R / I_gpu. The load R stands on both sides
and cancels out, so that comparison has one winner at any load. A rented replica is billed for the whole hour, whatever
it serves: below a certain load the API is cheaper, and that load is the break-even.

How many tokens an hour a replica serves is an input here: it takes a measurement, not arithmetic. It holds for one mix
of input and output, since output tokens cost a GPU far more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from infra.cost.managed_api import ApiPrice, Interaction, usd_per_interaction

_LEAST_SHARE = 1e-9
"""Loads that exceed whole replicas by less than this share need no further one: it is rounding, not work."""


@dataclass(frozen=True)
class ReplicaRate:
    """What one replica costs, all of its GPUs, and the tokens that it serves at sustained load."""

    usd_per_hour: float
    tokens_per_hour: float

    def interactions_per_hour(self, interaction: Interaction) -> float:
        """Interactions that one replica serves: longer ones are fewer."""
        return self.tokens_per_hour / interaction.tokens


@dataclass(frozen=True)
class Comparison:
    """One load served both ways, in dollars per hour; `utilization` is the used share of the billed replicas."""

    api_usd_per_hour: float
    prorated_usd_per_hour: float
    replicas: int
    billed_usd_per_hour: float
    utilization: float

    @property
    def own_replicas_win(self) -> bool:
        """Whether the replicas, as billed, cost less than the API."""
        return self.billed_usd_per_hour < self.api_usd_per_hour


@dataclass(frozen=True)
class BreakEven:
    """The load at which a replica has paid for itself.

    `utilization` is its share of what the replica can serve; above 1 it never does. From
    `always_from_interactions_per_hour` on no load is cheaper on the API any more, not even one that has just begun
    another replica; None where there is no such load.
    """

    interactions_per_hour: float
    utilization: float
    always_from_interactions_per_hour: float | None


@dataclass(frozen=True)
class SensitivityRow:
    """The break-even for one price and one length of interaction."""

    usd_per_interaction: float
    price_factor: float
    tokens_per_interaction: int
    break_even: BreakEven


def compare(
    interactions_per_hour: float,
    interaction: Interaction,
    rate: ReplicaRate,
    price: ApiPrice,
    least_replicas: int = 1,
) -> Comparison:
    """Serve one load both ways; `least_replicas` stand in any case, for the sessions that they must seat."""
    share = interactions_per_hour / rate.interactions_per_hour(interaction)
    replicas = max(least_replicas, math.ceil(share * (1 - _LEAST_SHARE)))
    return Comparison(
        api_usd_per_hour=interactions_per_hour * usd_per_interaction(price, interaction),
        prorated_usd_per_hour=rate.usd_per_hour * share,
        replicas=replicas,
        billed_usd_per_hour=rate.usd_per_hour * replicas,
        utilization=share / replicas,
    )


def prorated_replicas_win(interaction: Interaction, rate: ReplicaRate, price: ApiPrice) -> bool:
    """The usual crossover formula, P_api x T / 1,000,000 > P_gpu / I_gpu: true or false, whatever the load."""
    prorated = rate.usd_per_hour / rate.interactions_per_hour(interaction)
    return usd_per_interaction(price, interaction) > prorated


def break_even(interaction: Interaction, rate: ReplicaRate, price: ApiPrice) -> BreakEven:
    """The load from which one replica, billed whole, is cheaper than the API.

    R* = P_gpu / p with p dollars per interaction, and the utilization is R* / I_gpu. The n-th replica begins at
    (n - 1) x I_gpu and has paid for all at n x R*; the last one that begins too early is the largest n below
    1 / (1 - utilization).
    """
    load = rate.usd_per_hour / usd_per_interaction(price, interaction)
    utilization = load / rate.interactions_per_hour(interaction)
    if utilization >= 1:
        return BreakEven(load, utilization, None)
    begins_too_early = max(1, math.ceil(1 / (1 - utilization) - _LEAST_SHARE) - 1)
    return BreakEven(load, utilization, begins_too_early * load)


def sensitivity(
    interaction: Interaction,
    rate: ReplicaRate,
    price: ApiPrice,
    price_factors: Sequence[float] = (0.5, 1.0, 2.0),
    token_factors: Sequence[float] = (0.5, 1.0, 2.0),
) -> tuple[SensitivityRow, ...]:
    """The break-even around the given prices and lengths, a row for each pair of factors.

    Half the API's price is as good as twice the GPU's. At a fixed token rate the length of an interaction moves the
    load in interactions, never the utilization: both sides charge by the token.
    """
    rows = []
    for price_factor in price_factors:
        for token_factor in token_factors:
            dearer, longer = _scaled_price(price, price_factor), _scaled(interaction, token_factor)
            row = SensitivityRow(
                usd_per_interaction=usd_per_interaction(dearer, longer),
                price_factor=price_factor,
                tokens_per_interaction=longer.tokens,
                break_even=break_even(longer, rate, dearer),
            )
            rows.append(row)
    return tuple(rows)


def _scaled(interaction: Interaction, factor: float) -> Interaction:
    """Rounded up, so that half of one token is still one."""
    return Interaction(
        input_tokens=math.ceil(interaction.input_tokens * factor),
        output_tokens=math.ceil(interaction.output_tokens * factor),
        cached_input_tokens=math.ceil(interaction.cached_input_tokens * factor),
    )


def _scaled_price(price: ApiPrice, factor: float) -> ApiPrice:
    return replace(
        price,
        input_usd_per_million_tokens=price.input_usd_per_million_tokens * factor,
        cached_input_usd_per_million_tokens=price.cached_input_usd_per_million_tokens * factor,
        output_usd_per_million_tokens=price.output_usd_per_million_tokens * factor,
    )
