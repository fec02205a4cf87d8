"""A service's place in a ring, from the properties of the resource and by way of the gateway's machine."""

from __future__ import annotations

from dataclasses import replace

from provisioning.converge.rotation import Membership, is_out_by_update
from provisioning.errors import ProvisioningError, Unreachable
from provisioning.properties import rotation_from_properties
from provisioning.provider.resource import Context
from provisioning.provider.values import Properties


def membership(old: Properties, inputs: Properties, context: Context) -> Membership | None:
    """Its place while `old` becomes `inputs`: at the gateway that it stands behind now, which moves after it.

    None where it stands behind none. Raises HostError when the gateway's machine cannot be used, unless the gateway
    leaves that machine.
    """
    current = old if _stands_behind_one(old) else inputs
    if not _stands_behind_one(current):
        return None
    try:
        member = _connect(current, context)
    except Unreachable as error:
        if _gateway_address(current) == _gateway_address(inputs):
            raise
        context.warn(
            f"{error}\nthe gateway leaves that machine, so {inputs['name']} is changed without draining"
        )
        return None
    if not inputs.get("rotation"):
        return member
    wanted = rotation_from_properties(inputs["rotation"])
    rotation = replace(member.rotation, address=wanted.address, drain_timeout_s=wanted.drain_timeout_s)
    return replace(member, rotation=rotation)


def leaving(old: Properties, context: Context) -> Membership | None:
    """Its place before it is deleted; a gateway on a dead machine sends it nothing."""
    if not _stands_behind_one(old):
        return None
    try:
        return _connect(old, context)
    except Unreachable as error:
        context.warn(f"{error}\n{old['name']} is removed without draining")
        return None


def with_ring(found: Properties, context: Context) -> Properties:
    """The properties with what its gateway says: a member that a killed run left out of the ring has drifted."""
    if not _stands_behind_one(found):
        return found
    try:
        is_in = not is_out_by_update(_connect(found, context))
    except Unreachable:  # which the machine's own resource says
        return found
    except ProvisioningError as error:  # a gateway that is ill must not keep `up` from mending it
        context.warn(f"{error}\nso whether {found['name']} is in its ring is not known")
        return found
    return {**found, "rotation": {**found["rotation"], "in_ring": is_in}}


def _connect(properties: Properties, context: Context) -> Membership:
    gateway, rotation = properties["gateway"], rotation_from_properties(properties["rotation"])
    connection = gateway["connection"]
    return Membership(
        host=connection["name"],
        shell=context.machines.connect(connection, gateway.get("password")),
        rotation=rotation,
        address_before=rotation.address,
        ring=context.rings.ring(rotation.ring),
        progress=context.progress,
        warn=context.warn,
        stopped=context.stopped,
    )


def _stands_behind_one(properties: Properties) -> bool:
    return bool(properties.get("rotation") and properties.get("gateway"))


def _gateway_address(properties: Properties) -> str | None:
    gateway = properties.get("gateway")
    return str(gateway["connection"]["address"]) if gateway else None
