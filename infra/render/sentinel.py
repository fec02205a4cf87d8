"""Three servers of which one is the primary, and a Sentinel beside each: what their nodes hold on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.plan.state import PRIMARY, SERVICE, StateMember, StatePlan
from infra.render.templates import template_text
from infra.render.words import UNITS
from provisioning.state import OnChange, Peers, RenderedFile, Unit


def sentinel_unit(state: StatePlan) -> str:
    """The Sentinel's unit without `.service`."""
    return f"{state.unit}-sentinel"


def sentinel_files(
    state: StatePlan, member: StateMember, values: Mapping[str, Any]
) -> dict[str, RenderedFile]:
    """Files on each of the three nodes; `values` are those of the server's own templates."""
    unit, user = sentinel_unit(state), values["user"]
    more = {
        **values,
        "member": member,
        "first": state.members[0],
        "addresses": tuple(item.listen_address for item in state.members),
        "primary_name": PRIMARY,
        "sentinel_unit": unit,
        "sentinel_folder": f"/var/lib/{unit}",
    }

    def file(name: str, **attributes: Any) -> RenderedFile:
        return RenderedFile(template_text(f"redis/{name}.j2", **more), **attributes)

    secret = {"mode": "0600", "owner": user, "group": user}
    script: dict[str, Any] = {"mode": "0755", "on_change": OnChange.NOTHING}
    return {
        f"{state.folder}/replication.conf": file("replication.conf", **secret),
        f"{state.folder}/sentinel.conf": file("sentinel.conf", **secret),
        f"{state.folder}/passwords/sentinel": RenderedFile(
            "${secret:stateSentinelPassword}\n", on_change=OnChange.NOTHING, **secret
        ),
        **{
            f"{state.folder}/{name}": file(name, **script)
            for name in ("ask-sentinels", "begin", "begin-sentinel", "peers")
        },
        f"{UNITS}/{unit}.service": file("sentinel.service"),
    }


def sentinel_units(state: StatePlan) -> dict[str, Unit]:
    """The unit beside the server's."""
    return {f"{sentinel_unit(state)}.service": Unit()}


def sentinel_peers(fleet: str, state: StatePlan, member: StateMember) -> Peers:
    """The server's place among the three, which keep writes possible while one of them restarts."""
    return Peers(f"{fleet}/{SERVICE}", f"{SERVICE} on {member.node}", (f"{state.folder}/peers",))
