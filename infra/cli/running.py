"""A stack that runs: its inventory by the Pulumi CLI, its machines by SSH."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from infra.errors import FleetError

if TYPE_CHECKING:
    from infra.day_two.inventory import Inventory
    from infra.day_two.status import FleetStatus
    from provisioning.day_two.machines import Machines

NOT_WELL = 1
"""The exit code of a question that was answered, but not with "all well"."""

StackName = Annotated[str, typer.Argument(metavar="STACK", help="The Pulumi stack, such as stage2.")]


@contextmanager
def running(stack: str) -> Iterator[tuple[Inventory, Machines]]:
    """The stack's inventory and its machines, whose connections end with the block."""
    from infra.day_two.inventory import read_inventory
    from provisioning.day_two.machines import Machines, WayIn
    from provisioning.day_two.stack import read_outputs, read_setting
    from provisioning.errors import ProvisioningError
    from provisioning.ssh import Address

    try:
        inventory = read_inventory(stack, read_outputs(stack))
        asked = {machine.password_config for machine in inventory.machines.values()} - {""}
        passwords = {name: read_setting(stack, name) for name in sorted(asked)}
        ways_in = {
            name: WayIn(
                Address(
                    host=machine.address,
                    port=machine.port,
                    user=machine.user,
                    host_key=machine.host_key,
                    identity_file=machine.identity_file,
                    name=name,
                ),
                passwords.get(machine.password_config),
            )
            for name, machine in inventory.machines.items()
        }
        with Machines(ways_in) as machines:
            yield inventory, machines
    except ProvisioningError as error:
        raise FleetError(str(error)) from error


def look(inventory: Inventory, machines: Machines) -> FleetStatus:
    """What its services are doing now."""
    from infra.day_two.questions import questions
    from infra.day_two.rows import make_status

    asked = {node: [item.argv for item in items] for node, items in questions(inventory).items()}
    return make_status(inventory, machines.ask(asked))
