"""Who may reach the fleet, and the services beside the engines."""

from __future__ import annotations

from pydantic import Field

from infra.spec.addresses import Network
from infra.spec.kinds import GatewayKind, QueueKind, StateKind
from infra.spec.part import Part
from infra.spec.quantities import Switch


class Access(Part):
    """Who may reach the endpoint."""

    clients: tuple[Network, ...] = Field(
        default=(),
        description="The networks that may reach the endpoint; on lab nodes the lab's own network when omitted.",
    )
    public: Switch = Field(default=False, description="Whether clients may be the whole internet.")


class Gateway(Part):
    """What stands before the replicas."""

    kind: GatewayKind = Field(default=GatewayKind.NONE, description="The program before the replicas.")


class StateStore(Part):
    """Where agents keep what must outlive a session."""

    kind: StateKind = Field(default=StateKind.NONE, description="The store of agent state.")


class Queue(Part):
    """Where tasks wait that need no answer at once."""

    kind: QueueKind = Field(default=QueueKind.NONE, description="The queue of background tasks.")
