"""Which GPUs of which nodes a replica gets: never one GPU twice, never a replica across nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.errors import PlanError
from infra.plan.fleet_plan import NodePlan

_PORTS_END = 65536


@dataclass(frozen=True)
class Seat:
    """One replica's place: a node, its GPUs (none on a node without) and a free port."""

    node: str
    gpu_ids: tuple[int, ...]
    port: int


@dataclass
class Ledger:
    """What is still free on each node while pools are placed one after another."""

    nodes: Sequence[NodePlan]
    _free_gpus: dict[str, list[int]] = field(default_factory=dict)
    _ports: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free_gpus = {node.name: list(range(node.device_count)) for node in self.nodes}
        self._ports = {node.name: set() for node in self.nodes}

    def room(self, candidates: Sequence[NodePlan], gpus: int, *, pinned: bool) -> int:
        """Replicas of `gpus` each that these nodes still hold; a pinned node without a GPU holds any number."""
        if pinned and any(node.on_cpu for node in candidates):
            return 1 << 30
        return sum(len(self._free_gpus[node.name]) // gpus for node in candidates)

    def place(
        self, candidates: Sequence[NodePlan], replicas: int, gpus: int, first_port: int, *, pinned: bool
    ) -> tuple[Seat, ...]:
        """Seats for `replicas` of `gpus` each; call `room` first.

        Best fit: the node with the fewest free GPUs that still has room, so that as few machines as possible are
        begun, because they are billed whole. Nodes without a GPU that the operator named share their CPU evenly.
        """
        if pinned and any(node.on_cpu for node in candidates):
            return tuple(
                self._share(candidates[index % len(candidates)], first_port) for index in range(replicas)
            )
        return tuple(self._best_fit(candidates, gpus, first_port) for _ in range(replicas))

    def _share(self, node: NodePlan, first_port: int) -> Seat:
        self._free_gpus[node.name] = []
        return Seat(node.name, (), self._take_port(node.name, first_port))

    def _best_fit(self, candidates: Sequence[NodePlan], gpus: int, first_port: int) -> Seat:
        fitting = [node for node in candidates if len(self._free_gpus[node.name]) >= gpus]
        node = min(fitting, key=lambda node: len(self._free_gpus[node.name]))
        taken = _neighbours(self._free_gpus[node.name], gpus)
        self._free_gpus[node.name] = [gpu for gpu in self._free_gpus[node.name] if gpu not in taken]
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


def _neighbours(free: Sequence[int], gpus: int) -> tuple[int, ...]:
    """An aligned run of GPU indices where one is free (bridged pairs and PCIe switches are numbered so), else any."""
    for start in range(0, max(free) + 1, gpus):
        run = tuple(range(start, start + gpus))
        if set(run) <= set(free):
            return run
    return tuple(free[:gpus])
