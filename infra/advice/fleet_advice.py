"""What an advice says: frozen values that print as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from infra.advice.offers import Offer


@dataclass(frozen=True)
class Rental:
    """So many like nodes of one offer, each with the same `replicas` of each pool and as many idle GPUs."""

    offer: Offer
    nodes: int
    replicas: dict[str, int]
    idle_gpus: int
    price_per_hour: float


@dataclass(frozen=True)
class Alternative:
    """One device and split for one pool, called by `label`, and why it was chosen or not.

    `seats` are the sessions of full context that its replicas hold. `price_per_hour` is that of the whole fleet with
    it, the other pools as cheap as can be beside it, and `extra_per_hour` what that is more than the advice; all of
    them are None where it cannot be. `held_back` is True where it is only compared with: at a spot price that is not
    admitted, or split over PCIe further than the model needs.
    """

    label: str
    device: str
    tensor_parallel_size: int
    replicas: int | None
    gpus: int | None
    seats: int | None
    price_per_hour: float | None
    extra_per_hour: float | None
    chosen: bool
    held_back: bool
    reason: str


@dataclass(frozen=True)
class FixedNumber:
    """Something that the operator fixed, what would be chosen without, and what the difference costs the fleet."""

    path: str
    value: str
    cheapest: str
    extra_per_hour: float
    reason: str


@dataclass(frozen=True)
class PoolAdvice:
    """How one pool should run. `price_per_hour` is its share of the nodes that carry it, by GPUs in use."""

    name: str
    model: str
    sessions: int
    context_tokens: int
    device: str
    tensor_parallel_size: int
    replicas: int
    nodes: int
    gpus: int
    slots_per_replica: int
    slots: int
    max_num_seqs: int
    price_per_hour: float
    alternatives: tuple[Alternative, ...]
    fixed: tuple[FixedNumber, ...]


@dataclass(frozen=True)
class OfferVerdict:
    """One offer: the price of the whole fleet on it alone, None where that cannot be, and why."""

    offer: Offer
    nodes_rented: int
    price_per_hour_alone: float | None
    reason: str


@dataclass(frozen=True)
class FleetAdvice:
    """Which machines to rent. `proven` is False where a cheaper fleet may exist that was not looked for."""

    price_per_hour: float
    nodes: int
    gpus: int
    rentals: tuple[Rental, ...]
    pools: tuple[PoolAdvice, ...]
    offers: tuple[OfferVerdict, ...]
    notes: tuple[str, ...]
    proven: bool

    def to_dict(self) -> dict[str, Any]:
        """The advice as plain JSON values."""
        return dataclasses.asdict(self)
