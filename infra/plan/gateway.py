"""The gateway of a fleet: where it stands, which replicas are behind it, and how it tells sessions apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from infra.plan.authority import CA_SECRET, certificate_folder
from infra.plan.fleet_plan import NodePlan, PoolPlan, ReplicaPlan, Setting
from infra.plan.litellm import LiteLlmPlan, plan_litellm
from infra.plan.process import unit_name, user_name
from infra.spec import FleetSpec, Gateway, GatewayKind, TlsKind

SERVICE = "gateway"


@dataclass(frozen=True)
class GatewayReplica:
    """A replica as the gateway reaches it: `slots` full sessions fit, `max_num_seqs` requests run at once."""

    name: str
    address: str
    port: int
    slots: int
    max_num_seqs: int


@dataclass(frozen=True)
class GatewayPool:
    """Replicas that can stand in for each other; clients ask for them by `served_name` or by the pool's path."""

    name: str
    role: str
    served_name: str
    replicas: tuple[GatewayReplica, ...]


@dataclass(frozen=True)
class TlsPlan:
    """Where the certificate comes from, and with `files` the paths on the node."""

    kind: TlsKind = TlsKind.NONE
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class GatewayPlan:
    """The program before the replicas.

    `folder` holds its files, `run_folder` its admin socket, /var/lib/`unit` what survives its restart. It listens at
    `listen_address`, clients use `base_url`. `load_factor` is the most sessions of a replica as a multiple of the mean,
    None for no bound. `client_keys` name secrets, each the key of a client; the fleet's own key is always good.
    `front_pool` serves what names no pool. With `litellm`, that is what clients meet at `port`, and the gateway itself
    listens behind it.
    """

    kind: Literal["nginx", "litellm"]
    unit: str
    user: str
    node: str
    address: str
    listen_address: str
    port: int
    base_url: str
    folder: str
    run_folder: str
    pools: tuple[GatewayPool, ...]
    front_pool: str
    session_header: str
    session_cookie: str
    session_idle_s: int
    load_factor: float | None
    tls: TlsPlan
    client_keys: tuple[str, ...]
    request_limit_bytes: int
    drain_timeout_s: int
    ready_timeout_s: int
    decisions: tuple[Setting, ...]
    litellm: LiteLlmPlan | None = None

    @property
    def certificate_folder(self) -> str:
        """Where its certificate of the fleet's own CA stands on the node; empty where it has none."""
        if self.tls.kind is not TlsKind.GENERATED:
            return ""
        return certificate_folder(self.unit, (self.address, self.listen_address))

    @property
    def ca(self) -> str:
        """The path on the node of the CA's certificate that its own can be checked with; empty where it has none."""
        return f"{self.certificate_folder}/ca.crt" if self.certificate_folder else ""

    @property
    def generated_secrets(self) -> tuple[str, ...]:
        """Names of the stack's settings that it needs and nobody has to choose, beside the fleet's API key."""
        return (CA_SECRET,) if self.ca else ()

    @property
    def rotate(self) -> str:
        """The command on the gateway's node that takes a replica out of the ring and in again."""
        return f"{self.folder}/rotate"


def plan_gateway(
    spec: FleetSpec,
    nodes: Sequence[NodePlan],
    pools: Sequence[PoolPlan],
    replicas: Sequence[ReplicaPlan],
    front_pool: str,
) -> GatewayPlan | None:
    """The gateway that the spec asks for, None where clients reach the replicas directly."""
    wanted = spec.gateway
    if wanted.kind is GatewayKind.NONE:
        return None
    node, why_there = place_service(nodes, wanted.node, replicas)
    scheme = "http" if wanted.tls.kind == "none" else "https"
    unit = unit_name(spec.name, SERVICE)
    addresses = {item.name: item.listen_address for item in nodes}
    reached = tuple(_pool(pool, replicas, addresses) for pool in pools)
    litellm = (
        plan_litellm(spec.name, wanted.port, reached, front_pool, lab=node.lab is not None)
        if wanted.kind is GatewayKind.LITELLM
        else None
    )
    return GatewayPlan(
        kind="litellm" if litellm else "nginx",
        unit=unit,
        user=user_name(unit),
        node=node.name,
        address=node.address,
        listen_address=node.listen_address,
        port=wanted.port,
        base_url=f"{scheme}://{node.address}:{wanted.port}",
        folder=f"/etc/agentfleet/{spec.name}/{SERVICE}",
        run_folder=f"/run/{unit}",
        pools=reached,
        front_pool=front_pool,
        session_header=wanted.session_header,
        session_cookie=wanted.session_cookie,
        session_idle_s=wanted.session_idle_s,
        load_factor=wanted.load_factor,
        tls=TlsPlan(wanted.tls.kind, wanted.tls.certificate or "", wanted.tls.key or ""),
        client_keys=wanted.client_key_configs,
        request_limit_bytes=wanted.request_limit_bytes,
        drain_timeout_s=wanted.drain_timeout_s,
        ready_timeout_s=60,
        decisions=(*_decisions(wanted, node, why_there), *(_about_litellm(litellm) if litellm else ())),
        litellm=litellm,
    )


def place_service(
    nodes: Sequence[NodePlan], named: str | None, replicas: Sequence[ReplicaPlan]
) -> tuple[NodePlan, str]:
    """The node of a service beside the engines, and why: the named one, else one without a replica, else the first."""
    if named is not None:
        return next(node for node in nodes if node.name == named), "fixed in the spec"
    used = {replica.node for replica in replicas}
    for node in nodes:
        if node.name not in used:
            return node, "the first node that carries no replica"
    return nodes[0], "every node carries a replica, so the first one"


def _pool(pool: PoolPlan, replicas: Sequence[ReplicaPlan], addresses: Mapping[str, str]) -> GatewayPool:
    """Machines of a fleet reach each other at the addresses of their own, whatever clients outside use."""
    mine = [replica for replica in replicas if replica.pool == pool.name]
    return GatewayPool(
        pool.name,
        pool.role,
        mine[0].served_name,
        tuple(
            GatewayReplica(
                replica.name, addresses[replica.node], replica.port, replica.slots, pool.max_num_seqs
            )
            for replica in mine
        ),
    )


def _decisions(wanted: Gateway, node: NodePlan, why_there: str) -> tuple[Setting, ...]:
    bound = (
        Setting("load_factor", "none", "gateway.load_factor: null: a session stays where its key points")
        if wanted.load_factor is None
        else Setting(
            "load_factor", f"{wanted.load_factor:g}", "most sessions of a replica, as a multiple of the mean"
        )
    )
    identity = f"{wanted.session_header}, else the cookie {wanted.session_cookie}"
    return (
        Setting("node", node.name, why_there),
        Setting("port", str(wanted.port), "gateway.port"),
        Setting(
            "session", identity, "a request that has neither goes to the replica with the fewest requests"
        ),
        bound,
        Setting("session_idle_s", str(wanted.session_idle_s), "silence after which a place is forgotten"),
        Setting(
            "drain_timeout_s", str(wanted.drain_timeout_s), "what requests in flight get before a change"
        ),
    )


def _about_litellm(litellm: LiteLlmPlan) -> tuple[Setting, ...]:
    behind = f"127.0.0.1:{litellm.inner_port}"
    long_models = ", ".join(litellm.long_models)
    return (
        Setting("litellm", litellm.program.version, "gateway.kind: clients meet LiteLLM"),
        Setting("nginx", behind, "behind LiteLLM, for this node alone: it decides which replica answers"),
        Setting("too long", long_models, "where a request goes that its pool has no context for")
        if long_models
        else Setting("too long", "refused", "there is no pool of the role long"),
    )
