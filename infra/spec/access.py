"""Who may reach the fleet."""

from __future__ import annotations

from pydantic import Field

from infra.spec.addresses import Network
from infra.spec.part import Part
from infra.spec.quantities import Switch


class Access(Part):
    """Who may reach the endpoint."""

    clients: tuple[Network, ...] = Field(
        default=(),
        description="The networks that may reach the endpoint; on lab nodes the lab's own network when omitted.",
    )
    public: Switch = Field(default=False, description="Whether clients may be the whole internet.")
