"""Which GPUs of which nodes a replica gets: never one GPU twice, never a replica across nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from infra.errors import PlanError
from infra.packing import Fleet, Row, seat
from infra.plan.fleet_plan import NodePlan

_PORTS_END = 65536

_UNPRICED_MICRO = 1_000_000_000_000
"""What a GPU without a price counts for: more than any with one, so that those are begun first."""


@dataclass(frozen=True)
class Seat:
    """One replica's place: a node, its GPUs (none on a node without) and a free port."""

    node: str
    gpu_ids: tuple[int, ...]
    port: int


@dataclass(frozen=True)
class GivenNodes:
    """Machines of the fleet that are alike: same device, GPUs, price, and pools that may use them, named by `place`."""

    device: str
    gpus: int
    price_micro: int
    place: str
    nodes: tuple[NodePlan, ...]

    @property
    def stock(self) -> int:
        """How many there are."""
        return len(self.nodes)


def given_nodes(nodes: Sequence[NodePlan], pools: Mapping[str, Set[str]]) -> tuple[GivenNodes, ...]:
    """The nodes by kind, in their order; `pools` holds the names of the nodes that each pool may use."""
    kinds: dict[tuple[str, int, int, str], list[NodePlan]] = {}
    for node in nodes:
        place = ", ".join(pool for pool, usable in pools.items() if node.name in usable)
        key = (node.device, node.device_count, _price_micro(node), place)
        kinds.setdefault(key, []).append(node)
    return tuple(GivenNodes(*key, tuple(members)) for key, members in kinds.items())


class Ledger:
    """What is still free on each node while replicas are placed one after another."""

    def __init__(self, nodes: Sequence[NodePlan]) -> None:
        self._free_gpus = {node.name: list(range(node.device_count)) for node in nodes}
        self._ports: dict[str, set[int]] = {node.name: set() for node in nodes}

    def untouched(self, node: NodePlan) -> bool:
        """Whether the node carries nothing yet."""
        return not self._ports[node.name]

    def room(self, candidates: Sequence[NodePlan], gpus: int) -> int:
        """Replicas of `gpus` each that these nodes still hold."""
        return sum(len(self._free_gpus[node.name]) // gpus for node in candidates)

    def share(self, nodes: Sequence[NodePlan], replicas: int, first_port: int) -> tuple[Seat, ...]:
        """Seats on nodes without a GPU that a pool names: any number of replicas share their CPU evenly."""
        for node in nodes:
            self._free_gpus[node.name] = []
        members = [nodes[index % len(nodes)].name for index in range(replicas)]
        return tuple(Seat(name, (), self._take_port(name, first_port)) for name in members)

    def take(self, node: NodePlan, gpus: int, first_port: int) -> Seat:
        """A seat on this node, which has so many GPUs free."""
        free = self._free_gpus[node.name]
        taken = _neighbours(free, gpus)
        self._free_gpus[node.name] = [gpu for gpu in free if gpu not in taken]
        return Seat(node.name, () if node.on_cpu else taken, self._take_port(node.name, first_port))

    def _take_port(self, node: str, first_port: int) -> int:
        free = (port for port in range(first_port, _PORTS_END) if port not in self._ports[node])
        port = next(free, None)
        if port is None:
            raise PlanError(
                f"nodes: {node} has no free port from {first_port} up: choose a lower port for the pool"
            )
        self._ports[node].add(port)
        return port


def place(
    fleet: Fleet[GivenNodes], ledger: Ledger, first_ports: Mapping[str, int]
) -> Mapping[str, tuple[Seat, ...]]:
    """A seat for each replica of the fleet, by pool, in the order of the nodes; the pools' ports begin at these."""
    seats: dict[str, list[Seat]] = {load.pool: [] for load in fleet.loads}
    for node, pool, gpus in _by_node(fleet):
        seats[pool].append(ledger.take(node, gpus, first_ports[pool]))
    return {pool: tuple(found) for pool, found in seats.items()}


def _by_node(fleet: Fleet[GivenNodes]) -> Iterator[tuple[NodePlan, str, int]]:
    """Every replica as node, pool and GPUs: the nodes of a kind in their order, on each the largest replicas first."""
    left: dict[str, list[NodePlan]] = {}
    for device, packing in fleet.packings.items():
        loads: list[tuple[str, Row, int]] = [
            (load.pool, load.row, load.replicas) for load in fleet.loads if load.device == device
        ]
        sizes = {pool: row.size for pool, row, _ in loads}
        for held in seat(packing, loads):
            first = held.kind.nodes[0].name
            unused = left.get(first, list(held.kind.nodes))
            members, left[first] = unused[: held.nodes], unused[held.nodes :]
            for node in members:
                for pool, replicas in held.load:
                    yield from ((node, pool, sizes[pool]) for _ in range(replicas))


def _price_micro(node: NodePlan) -> int:
    if node.price_per_hour is None:
        return _UNPRICED_MICRO * node.device_count
    return round(node.price_per_hour * 1_000_000)


def _neighbours(free: Sequence[int], gpus: int) -> tuple[int, ...]:
    """An aligned run of GPU indices where one is free (bridged pairs and PCIe switches are numbered so), else any."""
    for start in range(0, max(free) + 1, gpus):
        run = tuple(range(start, start + gpus))
        if set(run) <= set(free):
            return run
    return tuple(free[:gpus])
