"""The state store of a fleet: where it stands, how much it holds, and who may do what in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from infra.plan.authority import CA_SECRET
from infra.plan.demand import sessions_of
from infra.plan.fleet_plan import NodePlan, Note, ReplicaPlan, Setting
from infra.plan.gateway import place_service
from infra.plan.process import unit_name
from infra.plan.text import count_text, size_text
from infra.spec import Durability, FleetSpec, Saver, StateHa, StateKind, StateStore
from infra.spec.state import SENTINEL_PORT_STEP
from infra.store import (
    SessionState,
    machine_bytes,
    maxmemory_bytes,
    session_bytes,
    sessions_retained,
    usual_checkpoints,
    usual_messages,
)
from infra.topology.context import session_of

SERVICE = "state"
TEXT_BYTES_PER_TOKEN = 4
"""Bytes of English text for each token; the measurements of infra/store took the same."""

AGENT_PREFIXES = ("checkpoint", "writes", "thread", "langgraph", "flow")
"""Keys of ValkeySaver and RedisSaver, of ValkeyStore, and of Flows that agentfleet_agents keeps."""

AGENT_SECRET = "stateAgentPassword"  # noqa: S105 - the name of a secret
PRIMARY = "state"
"""What Sentinels call the primary, whichever server it is."""

_SECRETS = (AGENT_SECRET, "stateExporterPassword", "stateBackupPassword", "stateAdminPassword")
_HA_SECRETS = ("stateReplicaPassword", "stateSentinelPassword")
READY_TIMEOUT_S = 1800
"""A store of many GiB reads its append-only file at start."""


@dataclass(frozen=True)
class StateMember:
    """One node with a server: agents reach it at `address`, the fleet's own machines at `listen_address`."""

    node: str
    address: str
    listen_address: str


@dataclass(frozen=True)
class StatePlan:
    """The store of agent state.

    `members` has one node, or three of which the first begins as the primary and each has a Sentinel. `folder` holds
    the files on each, `data_folder` what must not be lost. `session_bytes` is one session at its end, `sessions` the
    number that is kept at once. `generated_secrets` names the settings of the stack that nobody has to choose.
    """

    kind: Literal["redis", "valkey"]
    unit: str
    members: tuple[StateMember, ...]
    port: int
    sentinel_port: int | None
    tls: bool
    folder: str
    data_folder: str
    ttl_s: int
    saver: str
    durability: str
    session_bytes: int
    sessions: int
    maxmemory_bytes: int
    machine_bytes: int
    alarm_share: float
    prefixes: tuple[str, ...]
    generated_secrets: tuple[str, ...]
    ready_timeout_s: int
    decisions: tuple[Setting, ...]

    @property
    def node(self) -> str:
        """The node of the store, or of the server that begins as its primary."""
        return self.members[0].node

    @property
    def cli(self) -> str:
        """The command on each of its nodes that asks the store as its admin."""
        return f"{self.folder}/cli"

    def stands_on(self, node: str) -> bool:
        """Whether this node carries one of its servers."""
        return any(member.node == node for member in self.members)


def plan_state(
    spec: FleetSpec, nodes: Sequence[NodePlan], replicas: Sequence[ReplicaPlan]
) -> StatePlan | None:
    """The store that the spec asks for, None where it asks for none."""
    wanted = spec.state
    if wanted.kind is StateKind.NONE:
        return None
    placed, why_there = _place(wanted, nodes, replicas)
    ha = wanted.ha is StateHa.SENTINEL
    unit = unit_name(spec.name, SERVICE)
    one_bytes, at_once = _mean_session_bytes(spec), sessions_of(spec.workload)
    kept = sessions_retained(wanted.sessions_per_hour or at_once, wanted.ttl_s, at_once)
    limit_bytes = wanted.maxmemory_bytes or maxmemory_bytes(kept, one_bytes)
    plan = StatePlan(
        kind="valkey" if wanted.kind is StateKind.VALKEY else "redis",
        unit=unit,
        members=tuple(StateMember(node.name, node.address, node.listen_address) for node in placed),
        port=wanted.port,
        sentinel_port=wanted.port + SENTINEL_PORT_STEP if ha else None,
        tls=wanted.tls,
        folder=f"/etc/agentfleet/{spec.name}/{SERVICE}",
        data_folder=f"/var/lib/{unit}",
        ttl_s=wanted.ttl_s,
        saver=wanted.saver,
        durability=wanted.durability,
        session_bytes=one_bytes,
        sessions=kept,
        maxmemory_bytes=limit_bytes,
        machine_bytes=machine_bytes(limit_bytes),
        alarm_share=wanted.alarm_share,
        prefixes=tuple(dict.fromkeys((*AGENT_PREFIXES, *wanted.key_prefixes))),
        generated_secrets=(*_SECRETS, *(_HA_SECRETS if ha else ()), *((CA_SECRET,) if wanted.tls else ())),
        ready_timeout_s=READY_TIMEOUT_S,
        decisions=(),
    )
    rate = f"{wanted.sessions_per_hour or at_once} an hour"
    return replace(plan, decisions=_decisions(wanted, plan, why_there, rate))


def state_notes(spec: FleetSpec, plan: StatePlan | None, nodes: Sequence[NodePlan]) -> Iterator[Note]:
    """What the operator should know about the store."""
    if plan is None:
        return
    wanted = spec.state
    needed_bytes = maxmemory_bytes(plan.sessions, plan.session_bytes)
    if plan.maxmemory_bytes < needed_bytes:
        what = f"{count_text(plan.sessions, 'session')} of {size_text(plan.session_bytes)}"
        text = f"{what} need {size_text(needed_bytes)}: a full store refuses to keep more"
        yield Note("shortfall", "state.maxmemory", text)
    if wanted.sessions_per_hour is None and wanted.maxmemory_bytes is None:
        text = f"assumed: {sessions_of(spec.workload)}, as if a session lasted an hour; give your own number"
        yield Note("info", "state.sessions_per_hour", text)
    if wanted.saver is not Saver.VALKEY:
        text = "needs the modules JSON and Search, which no distribution ships: `up` refuses a server without them"
        yield Note("warning", "state.saver", text)
    if wanted.saver is Saver.REDIS and wanted.durability is Durability.ASYNC:
        text = "with the saver redis a resumed workflow runs finished tasks again: write durability: sync"
        yield Note("warning", "state.durability", text)
    if not wanted.tls:
        yield Note("warning", "state.tls", "passwords and conversations cross the network in the clear")
    if plan.sentinel_port and any(member.address != member.listen_address for member in plan.members):
        text = "Sentinels name servers by their own addresses: agents beyond the NAT do not reach them"
        yield Note("warning", "state.ha", text)
    if any(node.source == "ssh" and plan.stands_on(node.name) for node in nodes):
        text = "set vm.overcommit_memory=1 on its machine, or a snapshot fails when little memory is free"
        yield Note("info", "state.node", text)


def _place(
    wanted: StateStore, nodes: Sequence[NodePlan], replicas: Sequence[ReplicaPlan]
) -> tuple[tuple[NodePlan, ...], str]:
    if wanted.nodes:
        by_name = {node.name: node for node in nodes}
        return tuple(by_name[name] for name in wanted.nodes), "fixed in the spec, the first primary first"
    node, why_there = place_service(nodes, wanted.node, replicas)
    return (node,), why_there


def _mean_session_bytes(spec: FleetSpec) -> int:
    """Text is all that a session was ever told: what an agent no longer sends to its model is kept all the same."""
    workload, wanted = spec.workload, spec.state

    def size(tokens: int) -> int:
        session = SessionState(
            text_bytes=wanted.text_bytes or tokens * TEXT_BYTES_PER_TOKEN,
            messages=wanted.messages or usual_messages(wanted.llm_calls),
            checkpoints=wanted.checkpoints or usual_checkpoints(wanted.llm_calls, wanted.durability),
        )
        return session_bytes(session, wanted.saver, wanted.durability)

    short_bytes, long = size(session_of(workload).grown_tokens), workload.long_sessions
    if long is None:
        return short_bytes
    return round((1 - long.share) * short_bytes + long.share * size(long.context_tokens))


def _decisions(wanted: StateStore, plan: StatePlan, why_there: str, rate: str) -> tuple[Setting, ...]:
    """The numbers in the order in which they follow from each other."""
    one = size_text(plan.session_bytes)
    why_limit = "state.maxmemory" if wanted.maxmemory_bytes else f"{plan.sessions} x {one}, a fifth left free"
    return (
        Setting("node", ", ".join(member.node for member in plan.members), why_there),
        Setting("port", str(plan.port), "state.port"),
        Setting("tls", "on" if plan.tls else "off", "state.tls: a certificate of the fleet's own CA"),
        Setting("session", one, f"saver {plan.saver}, durability {plan.durability}"),
        Setting("sessions", str(plan.sessions), f"{rate}, each kept for {plan.ttl_s} s"),
        Setting("maxmemory", size_text(plan.maxmemory_bytes), why_limit),
        Setting(
            "maxmemory-policy", "noeviction", "a full store refuses; evicted checkpoints are lost silently"
        ),
        Setting("appendfsync", "everysec", "a machine that dies loses at most the last second"),
    )
