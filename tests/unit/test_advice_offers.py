"""Offers as they are written on the command line, and those that the catalog's prices make."""

from __future__ import annotations

import pytest

from infra.advice import Offer, catalog_offers, parse_offer
from infra.advice.offers import NODE_SIZES
from infra.catalog.devices import load_devices
from infra.errors import SizingError


@pytest.mark.parametrize(
    ("text", "offer"),
    [
        ("8xH100-SXM@2.40", Offer("H100-SXM", 8, 19.2)),
        ("8xH100-SXM@19.20/node", Offer("H100-SXM", 8, 19.2)),
        ("lambda=2xh200@3.5:4", Offer("H200", 2, 7.0, seller="lambda", stock=4)),
        ("1 x L40S @ $0.80 : 12", Offer("L40S", 1, 0.8, stock=12)),
        ("my.rack-2=16xA100 80GB@0/node", Offer("A100-80GB-PCIe", 16, 0.0, seller="my.rack-2")),
    ],
)
def test_an_offer_is_read(text: str, offer: Offer) -> None:
    assert parse_offer(text) == offer


def test_an_offer_without_a_price_takes_the_catalogs_with_its_date_and_source() -> None:
    priced = next(offer for offer in catalog_offers() if offer.gpus == 8)
    read = parse_offer(f"8x{priced.device}:3")
    assert (read.price_per_hour, read.price_source, read.stock) == (
        priced.price_per_hour,
        priced.price_source,
        3,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--offer: '' is not understood: an offer is [SELLER=]GPUSxDEVICE"),
        ("H100-SXM", "is not understood"),
        ("8xH100-SXM@", "is not understood"),
        ("8xH100-SXM@-1", "is not understood"),
        ("8xH100-SXM@2.40/gpu", "is not understood"),
        ("8xH1000@2", "--offer: 'H1000' is not in the catalog of devices; did you mean"),
        ("0xH100-SXM@2", "a node has at least one GPU, and an offer at least one node"),
        ("8xH100-SXM@2:0", "a node has at least one GPU, and an offer at least one node"),
        ("8xH100-SXM@999999999", "a node's price is between 0 and a million dollars per hour"),
        ("2xGB10@1", "GB10 is alone in its machine: offer 1xGB10"),
        ("1xT4", "the catalog has no price of T4: give one, as 1xT4@2.40"),
    ],
)
def test_what_is_no_offer_is_told_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(SizingError) as raised:
        parse_offer(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_gpu_with_a_price_is_offered_in_nodes_of_one_to_eight() -> None:
    sizes: dict[str, list[int]] = {}
    for offer in catalog_offers():
        sizes.setdefault(offer.device, []).append(offer.gpus)
        price = load_devices()[offer.device].price
        assert price is not None
        assert offer.price_per_hour == pytest.approx(price.usd_per_hour * offer.gpus)
        assert offer.spot == price.spot
        assert price.date in offer.price_source
    priced = [device for device in load_devices().values() if device.price and device.kind == "gpu"]
    assert list(sizes) == [device.name for device in priced]
    assert all(
        found == list(NODE_SIZES) for name, found in sizes.items() if load_devices()[name].link != "none"
    )
