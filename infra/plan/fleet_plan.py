"""What a plan says: frozen values that print as JSON, each decision beside its reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from infra.cost.fleet import FleetCost
from infra.memory import MemoryBudget

if TYPE_CHECKING:
    from infra.plan.gateway import GatewayPlan
    from infra.plan.state import StatePlan


@dataclass(frozen=True)
class Note:
    """Something the operator should know about the place `path` of the spec.

    A warning asks for a decision; a shortfall says that sessions have no seat, because a number fixed in the spec is
    too low.
    """

    severity: Literal["info", "warning", "shortfall"]
    path: str
    text: str


@dataclass(frozen=True)
class Setting:
    """One engine flag, environment variable, unit directive or number of a pool, and why it has this value.

    `value` is empty for a flag that is a switch.
    """

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class Demand:
    """Sessions of one pool that are alive at the same time, and the formula that gave them."""

    pool: str
    role: str
    sessions: int
    formula: str
    context_tokens: int


@dataclass(frozen=True)
class LabPlan:
    """The throw-away machine behind a lab node: its network, and folders of the cache that it sees read-only.

    `gateway` is the address of this computer on the lab's network. `binds` maps a folder on the node to one below
    the cache.
    """

    network: str
    gateway: str
    binds: Mapping[str, str]


@dataclass(frozen=True)
class EnginePlan:
    """The engine's own folder on a node. `lock` names a file of the catalog, empty where the folder is given."""

    distribution: str
    version: str
    folder: str
    lock: str


@dataclass(frozen=True)
class NodePlan:
    """One machine: how it is reached, what it offers and what an hour of it costs.

    SSH and clients use `address`; engines listen at `listen_address`, which differs behind NAT. `min_driver` is the
    oldest branch of NVIDIA's driver that the engine starts on, 0 where no GPU is. `kv_cache_memory_bytes` is what each
    replica gets on a machine without a GPU, None on one with. `price_per_hour` is that of the whole machine, in US
    dollars; None where nobody stated a price.
    """

    name: str
    source: Literal["lab", "ssh"]
    address: str
    listen_address: str
    port: int
    user: str
    identity_file: str
    host_key: str
    password_config: str
    device: str
    device_count: int
    min_driver: int
    kv_cache_memory_bytes: int | None
    engine: EnginePlan
    price_per_hour: float | None
    price_source: str
    lab: LabPlan | None

    @property
    def on_cpu(self) -> bool:
        """Whether its replicas run on the CPU, which any number of them may share."""
        return self.kv_cache_memory_bytes is not None


@dataclass(frozen=True)
class WeightsPlan:
    """A model's folder on a node and where its files come from: a hub's `repository` at `revision`, or given.

    `endpoint` is a mirror's address, empty for the hub itself. `token_config` names the secret with the hub's token.
    """

    folder: str
    source: Literal["hub", "path", "generated"]
    repository: str = ""
    revision: str = ""
    endpoint: str = ""
    token_config: str = ""


@dataclass(frozen=True)
class PoolPlan:
    """Replicas of one model on like devices, sized for the pool's share of the sessions."""

    name: str
    role: str
    model: str
    device: str
    sessions: int
    context_tokens: int
    replicas: int
    tensor_parallel_size: int
    slots_per_replica: int
    slots: int
    peak_sessions_per_replica: int
    max_num_seqs: int
    endpoints: tuple[str, ...]
    decisions: tuple[Setting, ...]


@dataclass(frozen=True)
class ReplicaPlan:
    """One engine process: its place, its command line and environment, and the memory that they were chosen for.

    `unit` names the systemd unit and its state and cache folders, `user` the user that systemd makes for it.
    `base_url` is where clients reach the engine and `local_url` where it listens, without a trailing slash: behind NAT
    they differ. `gate_tolerance` is a share of the planned KV
    tokens, None where this engine version does not report them.
    """

    name: str
    unit: str
    user: str
    pool: str
    node: str
    address: str
    port: int
    base_url: str
    local_url: str
    gpu_ids: tuple[int, ...]
    model: str
    served_name: str
    engine: EnginePlan
    weights: WeightsPlan
    flags: tuple[Setting, ...]
    environment: tuple[Setting, ...]
    directives: tuple[Setting, ...]
    memory: MemoryBudget
    slots: int
    shutdown_timeout_s: int
    ready_timeout_s: int
    gate_tolerance: float | None


@dataclass(frozen=True)
class FleetPlan:
    """Every decision of one fleet.

    `sessions` are those that the workload has open at once. Pools for long sessions have seats beyond them, since which
    session gets long is not known.
    `cost_per_hour` is the total of `cost`, the bill: whole machines, in US dollars; None if a price is missing.
    """

    name: str
    stage: int
    sessions: int
    demand: tuple[Demand, ...]
    pools: tuple[PoolPlan, ...]
    nodes: tuple[NodePlan, ...]
    replicas: tuple[ReplicaPlan, ...]
    clients: tuple[str, ...]
    endpoint: str
    cost: FleetCost
    cost_per_hour: float | None
    notes: tuple[Note, ...]
    gateway: GatewayPlan | None = None
    state: StatePlan | None = None

    @property
    def generated_secrets(self) -> tuple[str, ...]:
        """Names of the stack's settings that nobody has to choose, beside the API key."""
        parts = (self.gateway, self.state)
        return tuple(dict.fromkeys(name for part in parts if part for name in part.generated_secrets))

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return dataclasses.asdict(self)

    def replicas_on(self, node: str) -> tuple[ReplicaPlan, ...]:
        """Replicas placed on this node, in the order of the plan."""
        return tuple(replica for replica in self.replicas if replica.node == node)

    def services_beside(self, node: str) -> tuple[str, ...]:
        """What else this node carries: the gateway, the state store."""
        gateway: tuple[str, ...] = ()
        if self.gateway and self.gateway.node == node:
            gateway = ("gateway", "litellm") if self.gateway.litellm else ("gateway",)
        return (*gateway, *(("state",) if self.state and self.state.stands_on(node) else ()))
