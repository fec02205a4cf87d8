"""Dollars over time, and what a GPU costs: as stated by the operator, else the catalog's dated rate."""

from __future__ import annotations

from dataclasses import dataclass

from infra.catalog.devices import Device, Price

HOURS_PER_DAY = 24
HOURS_PER_MONTH = 730
"""365 days of 24 hours over 12 months, as the large clouds bill a month."""


@dataclass(frozen=True)
class RunningCost:
    """What something costs that runs all the time."""

    usd_per_hour: float

    @property
    def usd_per_day(self) -> float:
        """Dollars for 24 hours."""
        return self.usd_per_hour * HOURS_PER_DAY

    @property
    def usd_per_month(self) -> float:
        """Dollars for 730 hours."""
        return self.usd_per_hour * HOURS_PER_MONTH


def gpu_price(device: Device, stated_usd_per_hour: float | None = None) -> Price | None:
    """The price of one GPU: what the operator stated goes before the catalog; None where neither knows one."""
    if stated_usd_per_hour is None:
        return device.price
    return Price(stated_usd_per_hour, date="", source="stated in the spec")


def price_origin(price: Price | None) -> str:
    """Where a price comes from and of which day it is, for people."""
    if price is None:
        return "no price known"
    return ", ".join(filter(None, (price.source, price.date, "spot" if price.spot else "")))
