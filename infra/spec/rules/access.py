"""Rules about who may reach the endpoint."""

from __future__ import annotations

from collections.abc import Iterator

from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.kinds import NodeSource

WIDEST_PREFIX = 8
"""The widest network that is let in without `public: true`; 10.0.0.0/8 is the widest private one."""


def rented_machines_name_their_clients(spec: FleetSpec) -> Iterator[Fault]:
    """A machine of the operator's own may stand in the open internet: who may come in is stated, not guessed."""
    if spec.nodes.source is NodeSource.SSH and not spec.access.clients:
        yield Fault(
            ("access", "clients"),
            "must be given with source ssh: list the networks that may reach the endpoint, such as 198.51.100.0/24",
        )


def the_internet_is_let_in_on_purpose(spec: FleetSpec) -> Iterator[Fault]:
    """A network wider than a /8 only with `public: true`."""
    for index, network in enumerate(spec.access.clients):
        if network.prefixlen < WIDEST_PREFIX and not spec.access.public:
            whole = "the whole internet" if network.prefixlen == 0 else f"{network.num_addresses:,} addresses"
            yield Fault(
                ("access", "clients", index),
                f"{network} lets {whole} in: narrow it, or write access.public: true if that is meant",
            )
