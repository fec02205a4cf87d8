"""Rules about pools: what they name, where they fit, and the ports they take."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.kinds import Role, Topology
from infra.spec.nodes import Nodes
from infra.spec.problems import did_you_mean
from infra.spec.workload import Pool

_ROLES = {
    Topology.FLAT: (Role.AGENT,),
    Topology.HIERARCHICAL: (Role.ORCHESTRATOR, Role.WORKER),
    Topology.PIPELINE: (Role.STAGE,),
}


def roles_fit_the_topology(spec: FleetSpec) -> Iterator[Fault]:
    """Each role of the topology has a pool, and no pool has another role; long is the next rule's."""
    topology = spec.workload.topology
    roles = _ROLES[topology]
    given = {name: pool.role for name, pool in spec.pools.items()}
    wrong = {name: role for name, role in given.items() if role not in (*roles, Role.LONG)}
    for name, role in wrong.items():
        yield Fault(
            ("pools", name, "role"), f"must be {' or '.join(roles)} in a {topology} fleet, not {role}"
        )
    for role in roles:
        if not wrong and role not in given.values():
            yield Fault(("pools",), f"a {topology} fleet needs a pool with the role {role}: add one")


def long_sessions_have_a_pool(spec: FleetSpec) -> Iterator[Fault]:
    """Long sessions and a pool with the role long, or neither."""
    wanted = spec.workload.long_sessions is not None
    long = [name for name, pool in spec.pools.items() if pool.role is Role.LONG]
    if wanted and not long:
        text = "needs a pool to move the sessions to: add one with the role long under pools"
        yield Fault(("workload", "long_sessions"), text)
    for name in long if not wanted else ():
        text = "is long, and the workload has no long_sessions: add share and context_tokens there, or remove the pool"
        yield Fault(("pools", name, "role"), text)


def pools_name_known_models(spec: FleetSpec) -> Iterator[Fault]:
    """Each pool's model stands under models."""
    for name, pool in spec.pools.items():
        if pool.model not in spec.models:
            hint = did_you_mean(pool.model, list(spec.models)) or f": models has {', '.join(spec.models)}"
            yield Fault(("pools", name, "model"), f"names {pool.model}, which is not under models{hint}")


def pools_name_known_nodes(spec: FleetSpec) -> Iterator[Fault]:
    """Each node that a pool names exists, and is named once."""
    known = spec.nodes.names
    for name, pool in spec.pools.items():
        for index, node in enumerate(pool.nodes or ()):
            path = ("pools", name, "nodes", index)
            if known and node not in known:
                hint = did_you_mean(node, known) or f": the nodes are {_listed(known)}"
                yield Fault(path, f"names {node}, which is no node of this fleet{hint}")
            elif node in (pool.nodes or ())[:index]:
                yield Fault(path, f"names {node} a second time: remove it")


def replicas_fit_in_a_node(spec: FleetSpec) -> Iterator[Fault]:
    """Tensor parallelism stays inside a node: some node of the pool has that many GPUs."""
    gpus = _gpus(spec.nodes)
    for name, pool in spec.pools.items():
        wanted = pool.tensor_parallel_size or 1
        most = max((gpus[node] for node in nodes_of(pool, spec.nodes)), default=wanted)
        if wanted > most:
            what = (
                "lab nodes have no GPUs to split a model over"
                if spec.nodes.lab
                else "its largest node has " + (f"{most} GPU{'s' * (most > 1)}")
            )
            yield Fault(
                ("pools", name, "tensor_parallel_size"), f"is {wanted}, but {what}: write at most {most}"
            )


def ports_do_not_collide(spec: FleetSpec) -> Iterator[Fault]:
    """Pools that may meet on a node have ports of their own, for all their replicas, and none is sshd's."""
    for name, pool in spec.pools.items():
        ports = ports_of(pool)
        if ports[-1] > 65_535:
            yield Fault(
                ("pools", name, "port"), f"leaves no port for the last of {len(ports)} replicas: lower it"
            )
        for host in spec.nodes.hosts:
            if host.name in nodes_of(pool, spec.nodes) and host.port in ports:
                yield Fault(
                    ("pools", name, "port"),
                    f"takes port {host.port}, where sshd of {host.name} listens: give another",
                )
    for (first, one), (second, two) in combinations(spec.pools.items(), 2):
        shared = [node for node in nodes_of(one, spec.nodes) if node in nodes_of(two, spec.nodes)]
        if shared and ports_of(one)[0] <= ports_of(two)[-1] and ports_of(two)[0] <= ports_of(one)[-1]:
            yield Fault(
                ("pools", second, "port"),
                f"pools {first} ({_span(one)}) and {second} ({_span(two)}) may meet on {shared[0]}:"
                f" give {second} another port, such as {_free_port(spec)}",
            )


def nodes_of(pool: Pool, nodes: Nodes) -> tuple[str, ...]:
    """Nodes that may carry the pool."""
    return nodes.names if pool.nodes is None else tuple(name for name in nodes.names if name in pool.nodes)


def _gpus(nodes: Nodes) -> dict[str, int]:
    """GPUs by node; a lab node counts as one device."""
    if nodes.lab is not None:
        return dict.fromkeys(nodes.names, 1)
    return {host.name: host.devices for host in nodes.hosts}


def ports_of(pool: Pool) -> range:
    """The ports of a pool if all its replicas stand on one node; one where their number is left to the plan."""
    return range(pool.port, pool.port + (pool.replicas or 1))


def _span(pool: Pool) -> str:
    ports = ports_of(pool)
    return f"port {ports[0]}" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]}"


def _free_port(spec: FleetSpec) -> int:
    """A round port above all that are taken, or the lowest where those reach the end."""
    above = max(ports_of(pool)[-1] for pool in spec.pools.values()) // 100 * 100 + 100
    return above if above <= 65_000 else 1024


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])} to {names[-1]}"
