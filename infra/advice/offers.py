"""What is for rent: kinds of nodes with a price each, from the catalog's dated prices or stated by the operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infra.catalog.devices import Device, device_named, load_devices
from infra.errors import SizingError

MICRO = 1_000_000
"""Millionths of a dollar in a dollar."""

NODE_SIZES = (1, 2, 4, 8)
"""GPUs of a node as they are commonly rented, where nobody states an offer."""

_FORM = "an offer is [SELLER=]GPUSxDEVICE[@DOLLARS[/node]][:NODES], such as 8xH100-SXM@2.40:4"
_OFFER = re.compile(
    r"(?:(?P<seller>[A-Za-z0-9][\w.-]*)=)?(?P<gpus>\d{1,3})\s*x\s*(?P<device>[^@:=]+?)\s*"
    r"(?:@\s*\$?(?P<price>\d+(?:\.\d+)?)(?P<whole>/node)?)?\s*(?::\s*(?P<stock>\d{1,9}))?"
)


@dataclass(frozen=True)
class Offer:
    """Nodes of `gpus` like GPUs, each billed whole at `price_per_hour` US dollars, used or not.

    `stock` is the number of such nodes there are, None where that is no limit. A node at a spot price can be taken
    back at any moment. Raises SizingError for a node that cannot be.
    """

    device: str
    gpus: int
    price_per_hour: float
    price_source: str = "stated"
    seller: str = ""
    stock: int | None = None
    spot: bool = False

    def __post_init__(self) -> None:
        device = device_named(self.device)
        object.__setattr__(self, "device", device.name)
        if self.gpus < 1 or (self.stock is not None and self.stock < 1):
            raise SizingError(f"offer {self}", "a node has at least one GPU, and an offer at least one node")
        if self.gpus > 1 and device.link == "none":
            raise SizingError(
                f"offer {self}", f"{device.name} is alone in its machine: offer 1x{device.name}"
            )
        if not 0 <= self.price_per_hour < 1e6:
            raise SizingError(f"offer {self}", "a node's price is between 0 and a million dollars per hour")

    def __str__(self) -> str:
        """`8x H100-SXM`, after its seller where it has one."""
        return f"{self.seller + ': ' if self.seller else ''}{self.gpus}x {self.device}"

    @property
    def price_micro(self) -> int:
        """Millionths of a dollar per hour: prices are added as whole numbers, so that equal sums are equal."""
        return round(self.price_per_hour * MICRO)

    @property
    def place(self) -> str:
        """Any pool may use rented nodes."""
        return ""


def catalog_offers() -> tuple[Offer, ...]:
    """Every device of the catalog that has a price, as nodes of 1, 2, 4 and 8 GPUs at so many times that price."""
    return tuple(offer for device in load_devices().values() for offer in _of_device(device))


def parse_offer(text: str) -> Offer:
    """An offer as it is written on the command line; SizingError that shows the form for anything else.

    The price is per GPU unless `/node` follows it, and the catalog's where none is given.
    """
    match = _OFFER.fullmatch(text.strip())
    if match is None:
        raise SizingError("--offer", f"{text!r} is not understood: {_FORM}")
    gpus, stock = int(match["gpus"]), match["stock"]
    device = _device(match["device"])
    if match["price"] is None:
        rate, source = _catalog_rate(device), _source(device)
    else:
        rate, source = float(match["price"]), "stated"
    return Offer(
        device=device.name,
        gpus=gpus,
        price_per_hour=rate if match["whole"] else rate * gpus,
        price_source=source,
        seller=match["seller"] or "",
        stock=None if stock is None else int(stock),
    )


def _of_device(device: Device) -> Iterator[Offer]:
    if device.price is None or device.kind != "gpu":
        return
    for gpus in NODE_SIZES if device.link != "none" else (1,):
        price, source = device.price.usd_per_hour * gpus, _source(device)
        yield Offer(device.name, gpus, price, source, spot=device.price.spot)


def _device(name: str) -> Device:
    try:
        return device_named(name)
    except SizingError as error:
        raise SizingError("--offer", error.message) from None


def _catalog_rate(device: Device) -> float:
    if device.price is None:
        raise SizingError(
            "--offer", f"the catalog has no price of {device.name}: give one, as 1x{device.name}@2.40"
        )
    return device.price.usd_per_hour


def _source(device: Device) -> str:
    """Where a catalog price comes from and of which day it is."""
    if device.price is None:
        return "no price known"
    return f"{device.price.source}, {device.price.date}" + (", spot" if device.price.spot else "")
