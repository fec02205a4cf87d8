"""How many replicas of which shape a pool needs on one kind of device: the smallest number of GPUs that seats it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from infra.catalog.devices import Device
from infra.catalog.models import Model
from infra.errors import SizingError
from infra.memory import EngineSettings, MemoryBudget, size_replica

MOST_SEQUENCES = 1024
"""vLLM's own largest default of max_num_seqs (GPUs of 70 GiB and more, 0.32.0): a replica is never planned for more
sessions, since each one costs sampler memory and max_num_batched_tokens must not be smaller."""

HEADROOM = 1.5
"""max_num_seqs over the peak: the sizing article asks for 1.5 to 2 times. The lower end, because sequences beyond the
slots only fit while sessions are shorter than planned, and each one costs sampler memory."""


@dataclass(frozen=True)
class Request:
    """One pool's wish: sessions to seat, and what the operator fixed (None is the plan's choice)."""

    pool: str
    model: Model
    sessions: int
    settings: EngineSettings
    replicas: int | None
    tensor_parallel_size: int | None
    max_num_seqs: int | None


@dataclass(frozen=True)
class Shape:
    """One way to run a pool on one device kind: `replicas` engines of `tensor_parallel_size` GPUs each."""

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
    """Sizes to try: the operator's, else powers of two that divide the attention heads and stay within a node."""
    heads = attention_heads(request.model)
    fixed = request.tensor_parallel_size
    if fixed is None:
        powers = (2**exponent for exponent in range(devices_per_node.bit_length()))
        return [size for size in powers if size <= devices_per_node and heads % size == 0]
    field = f"pools.{request.pool}.tensor_parallel_size"
    if heads % fixed:
        raise SizingError(
            field, f"{fixed} does not divide the {heads} attention heads of {request.model.name}"
        )
    return [fixed] if fixed <= devices_per_node else []


def attention_heads(model: Model) -> int:
    """Query heads of the language model; 1 where the config states none, which leaves the check to the memory model."""
    text = model.config.get("text_config") or model.config
    heads = text.get("num_attention_heads")
    return heads if isinstance(heads, int) else 1


def slots_of(memory: MemoryBudget) -> int:
    """Sessions of full context that one replica seats: the engine's own concurrency, rounded down.

    vLLM keeps one KV block for itself (the null block of its block pool), so a capacity of exactly 32.0 seats 31.
    """
    return max(0, math.ceil(memory.max_concurrency) - 1)


def headroom(peak_sessions: int) -> int:
    """max_num_seqs for a peak: 1.5 times it, at most 1024, never under the peak itself."""
    return max(peak_sessions, min(math.ceil(HEADROOM * peak_sessions), MOST_SEQUENCES))


def missing_bytes(request: Request, device: Device, tensor_parallel_size: int) -> int:
    """What one GPU lacks for a single session of full context; 0 when it fits."""
    settings = dataclasses.replace(
        request.settings, tensor_parallel_size=tensor_parallel_size, max_num_seqs=1
    )
    memory = size_replica(request.model, device, settings)
    session = request.settings.max_model_len * memory.kv_bytes_per_token
    if request.settings.kv_cache_memory_bytes is not None:
        return max(0, session - memory.kv_cache_bytes)
    engine = memory.weights_bytes + memory.activation_bytes + memory.non_torch_bytes + memory.cuda_graph_bytes
    return max(0, engine + session - memory.usable_bytes)


def _shape(request: Request, device: Device, size: int) -> Shape | None:
    """The fewest replicas of this size whose slots seat the peak, or None where not one session fits.

    More replicas mean a smaller peak, fewer sequences and so no fewer slots each: the first count that seats the peak
    is found by a jump from the slots of too few replicas, then by walking back over counts that also would do.
    """
    if request.replicas is not None:
        return _attempt(request, device, size, request.replicas)
    fewest = replicas = -(-request.sessions // (request.max_num_seqs or _most_sequences(request)))
    shape = _attempt(request, device, size, replicas)
    while shape is not None and shape.slots < shape.peak_sessions:
        replicas = max(replicas + 1, -(-request.sessions // shape.slots))
        shape = _attempt(request, device, size, replicas)
    while shape is not None and shape.replicas > fewest:
        fewer = _attempt(request, device, size, shape.replicas - 1)
        if fewer is None or fewer.slots < fewer.peak_sessions:
            break
        shape = fewer
    return shape


def _attempt(request: Request, device: Device, size: int, replicas: int) -> Shape | None:
    peak = -(-request.sessions // replicas)
    sequences = request.max_num_seqs or min(
        headroom(peak), request.settings.max_num_batched_tokens or peak * 2
    )
    settings = dataclasses.replace(request.settings, tensor_parallel_size=size, max_num_seqs=sequences)
    memory = size_replica(request.model, device, settings)
    slots = min(slots_of(memory), sequences)
    return Shape(device, size, replicas, peak, sequences, slots, settings, memory) if slots else None


def _most_sequences(request: Request) -> int:
    """The engine refuses fewer batched tokens than sequences."""
    return min(MOST_SEQUENCES, request.settings.max_num_batched_tokens or MOST_SEQUENCES)
