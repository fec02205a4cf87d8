"""How many replicas of which shape a pool needs on one kind of device: the smallest number of GPUs that seats it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

from infra.affinity import EVEN, Spread
from infra.catalog.devices import Device
from infra.catalog.models import Model
from infra.errors import SizingError
from infra.memory import EngineSettings, MemoryBudget, size_replica
from infra.topology import whole_sessions

MOST_SEQUENCES = 1024
"""vLLM's own largest default of max_num_seqs (GPUs of 70 GiB and more, 0.32.0): a replica is never planned for more
sessions, since each one costs sampler memory and max_num_batched_tokens must not be smaller."""

HEADROOM = 1.5
"""max_num_seqs over the peak: the sizing article asks for 1.5 to 2 times. The lower end, because sequences beyond the
slots only fit while sessions are shorter than planned, and each one costs sampler memory."""


@dataclass(frozen=True)
class Request:
    """One pool's wish: sessions to seat, and what the operator fixed (None is the plan's choice).

    `spread` says what the busiest replica gets of them; the plan's own number of replicas is `least_replicas` or more.
    """

    pool: str
    model: Model
    sessions: int
    settings: EngineSettings
    replicas: int | None
    tensor_parallel_size: int | None
    max_num_seqs: int | None
    spread: Spread = EVEN
    least_replicas: int = 1


@dataclass(frozen=True)
class Shape:
    """One way to run a pool on one device kind: `replicas` engines of `tensor_parallel_size` GPUs each.

    `peak_sessions` are those of the busiest replica.
    """

    device: Device
    tensor_parallel_size: int
    replicas: int
    peak_sessions: int
    max_num_seqs: int
    slots: int
    settings: EngineSettings
    memory: MemoryBudget

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.replicas * self.tensor_parallel_size

    @property
    def seats_all(self) -> bool:
        """Whether every session has a seat; numbers that the operator fixed may leave some without."""
        return self.slots >= self.peak_sessions

    @property
    def splits_over_pcie(self) -> bool:
        """Whether each layer's result crosses a slow link, which costs speed that no price shows."""
        return self.tensor_parallel_size > 1 and self.device.link == "pcie"


def shapes(request: Request, device: Device, devices_per_node: int) -> list[Shape]:
    """Every shape that fits, fewest GPUs first, then the smallest tensor parallel size.

    A size that the engine cannot run (a block-quantized matrix that it does not divide) is passed over; SizingError
    where it can run none.
    """
    fitting: list[Shape] = []
    refusals: list[SizingError] = []
    sizes = tensor_parallel_sizes(request, devices_per_node)
    for size in sizes:
        try:
            shape = _shape(request, device, size)
        except SizingError as error:
            refusals.append(error)
        else:
            fitting += [shape] if shape else []
    if sizes and len(refusals) == len(sizes):
        raise refusals[0]
    return sorted(fitting, key=lambda shape: (shape.gpus, shape.tensor_parallel_size))


def tensor_parallel_sizes(request: Request, devices_per_node: int) -> list[int]:
    """Sizes to try within a node: the operator's, else powers of two. The memory model says which divide the model."""
    if request.tensor_parallel_size is not None:
        return [size for size in [request.tensor_parallel_size] if size <= devices_per_node]
    return [2**exponent for exponent in range(devices_per_node.bit_length())]


def needless_splits(found: Iterable[Shape]) -> frozenset[int]:
    """Of the shapes on one device the splits over PCIe that are wider than the model needs.

    Memory alone would often choose one, since it keeps fewer copies of the weights, but each layer's result crosses a
    slow link. Plan and advice take none of them unless the operator fixes the size.
    """
    fitting = list(found)
    seating = [shape.tensor_parallel_size for shape in fitting if shape.seats_all]
    return frozenset(
        shape.tensor_parallel_size
        for shape in fitting
        if shape.splits_over_pcie and seating and shape.tensor_parallel_size > min(seating)
    )


def headroom(peak_sessions: int) -> int:
    """max_num_seqs for a peak: 1.5 times it, at most 1024, never under the peak itself."""
    return max(peak_sessions, min(math.ceil(HEADROOM * peak_sessions), MOST_SEQUENCES))


def missing_bytes(request: Request, device: Device, devices_per_node: int) -> tuple[int, int]:
    """The largest split that the engine can run, and what each of its GPUs lacks for one session of full context."""
    refused: SizingError | None = None
    for size in reversed(tensor_parallel_sizes(request, devices_per_node)):
        settings = dataclasses.replace(request.settings, tensor_parallel_size=size, max_num_seqs=1)
        try:
            return size, _missing_bytes(size_replica(request.model, device, settings), settings)
        except SizingError as error:
            refused = error
    raise refused or SizingError(
        "tensor_parallel_size", f"is more than the {devices_per_node} GPUs of a node"
    )


def _missing_bytes(memory: MemoryBudget, settings: EngineSettings) -> int:
    """A session and the block that vLLM keeps, less what the KV cache has; models with unlike layers need less."""
    session = (settings.max_model_len + memory.block_size) * memory.kv_bytes_per_token
    if settings.kv_cache_memory_bytes is not None:
        return max(0, session - memory.kv_cache_bytes)
    engine = memory.weights_bytes + memory.activation_bytes + memory.non_torch_bytes + memory.cuda_graph_bytes
    return max(0, engine + session - memory.usable_bytes)


def _shape(request: Request, device: Device, size: int) -> Shape | None:
    """The fewest replicas of this size whose slots seat the peak; None where not one session fits, or no number does.

    More replicas mean a smaller peak, so fewer sequences, so less sampler memory and no fewer slots each. That bounds
    the search from below by the slots that the smallest peak would leave, and lets it halve what is left.
    """
    sessions, spread = request.sessions, request.spread
    if request.replicas is not None:
        return _attempt(request, device, size, request.replicas)
    seated = _attempt(request, device, size, max(request.least_replicas, spread.most_replicas(sessions)))
    if seated is None or not seated.seats_all:
        return None
    most = request.max_num_seqs or min(
        MOST_SEQUENCES, request.settings.max_num_batched_tokens or MOST_SEQUENCES
    )
    fewest = -(-sessions // min(most, whole_sessions(seated.memory.max_concurrency)))
    too_few = max(fewest, request.least_replicas) - 1
    replicas = too_few + 1
    while seated.replicas - too_few > 1:
        shape = _attempt(request, device, size, replicas)
        if shape is not None and shape.seats_all:
            seated = shape
        else:
            too_few = replicas
        # The slots just found say how many replicas they ask for; where that is no news, by halves.
        asked = (spread.replicas_for(sessions, shape.slots) if shape else None) or sessions
        replicas = asked if too_few < asked < seated.replicas else (too_few + seated.replicas) // 2
    return seated


def _attempt(request: Request, device: Device, size: int, replicas: int) -> Shape | None:
    peak = request.spread.peak_sessions(replicas, request.sessions)
    sequences = request.max_num_seqs or min(
        headroom(peak), request.settings.max_num_batched_tokens or peak * 2
    )
    settings = dataclasses.replace(request.settings, tensor_parallel_size=size, max_num_seqs=sequences)
    memory = size_replica(request.model, device, settings)
    slots = min(whole_sessions(memory.max_concurrency), sequences)
    return Shape(device, size, replicas, peak, sequences, slots, settings, memory) if slots else None
