"""`fleet advise`: from a spec and the words of the command line to an advice; the spec's own nodes do not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.advice.advise import advise
from infra.advice.fleet_advice import FleetAdvice
from infra.advice.offers import catalog_offers, parse_offer
from infra.advice.ways import Wanted
from infra.catalog.devices import device_named
from infra.catalog.models import Model
from infra.errors import SizingError
from infra.plan.demand import plan_demand
from infra.plan.limits import refuse_sequences, refuse_version
from infra.plan.wishes import pool_request
from infra.spec import FleetSpec


def advise_spec(
    spec: FleetSpec,
    models: Mapping[str, Model],
    *,
    offers: Sequence[str] = (),
    devices: Sequence[str] = (),
    spot: bool = False,
) -> FleetAdvice:
    """Which machines to rent for a spec's pools; `models` holds the facts of each under its key.

    `offers` are the texts of --offer (none: the catalog's prices), `devices` those of --device: a device for all pools,
    or POOL=DEVICE. Raises SizingError for what is not understood, PlanError where nothing on offer does.
    """
    refuse_version(spec.engine.version, spec.engine.shutdown_timeout_s)
    stated = tuple(map(parse_offer, offers)) or catalog_offers()
    return advise(_wanted(spec, models, _fixed_devices(spec, devices)), stated, spot=spot)


def _wanted(spec: FleetSpec, models: Mapping[str, Model], devices: Mapping[str, str]) -> list[Wanted]:
    wanted = []
    for demand in plan_demand(spec):
        pool = spec.pools[demand.pool]
        refuse_sequences(
            demand.pool, pool.max_num_seqs, spec.engine.extra_flags.get("max-num-batched-tokens")
        )
        request = pool_request(spec, demand, models[pool.model])
        wanted.append(Wanted(request, devices.get(demand.pool)))
    return wanted


def _fixed_devices(spec: FleetSpec, texts: Sequence[str]) -> dict[str, str]:
    """The device of each pool that has one fixed; a pool's own counts more than that of all."""
    for_all = {pool: _device(text) for text in texts if "=" not in text for pool in spec.pools}
    own = {}
    for text in texts:
        pool, equals, device = text.partition("=")
        if equals and pool not in spec.pools:
            raise SizingError(
                "--device", f"{pool!r} is no pool of the spec, which has {', '.join(spec.pools)}"
            )
        if equals:
            own[pool] = _device(device)
    return {**for_all, **own}


def _device(name: str) -> str:
    try:
        return device_named(name).name
    except SizingError as error:
        raise SizingError("--device", error.message) from None
