"""The advice: which machines to rent for a fleet, where the operator has not fixed them."""

from infra.advice.advise import advise
from infra.advice.fleet_advice import FleetAdvice
from infra.advice.offers import Offer, catalog_offers, parse_offer
from infra.advice.ways import Wanted

__all__ = ["FleetAdvice", "Offer", "Wanted", "advise", "catalog_offers", "parse_offer"]
