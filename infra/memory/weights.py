"""What "Model loading took" counts on one GPU: parameters, scales, rotary tables and the allocator's rounding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from infra.errors import SizingError
from infra.memory.kernels import PLAIN, expert_kernel
from infra.memory.network import Layer, Network
from infra.memory.overheads import runtime_counted_as_weights
from infra.memory.quantization.schemes import Scheme
from infra.memory.replica import Replica
from infra.memory.settings import stored_element_bytes
from infra.memory.tensors import EXPERT_SPLITS, Split, Tensor

_MIB = 1 << 20
_VOCABULARY_MULTIPLE = (
    64  # vLLM pads embeddings and head to it (vocab_parallel_embedding.DEFAULT_VOCAB_PADDING_SIZE)
)


def stage_weights_bytes(tensors: Iterable[Tensor], replica: Replica) -> int:
    """Bytes on one GPU of a pipeline stage that holds `tensors`; SizingError where a tensor cannot be divided."""
    stored: defaultdict[str, int] = defaultdict(int)
    for tensor in tensors:
        scheme = replica.plan.scheme_for(tensor.name) if tensor.quantizable else None
        stored[tensor.stored_as] += _tensor_bytes(tensor, scheme, replica)
    tables = (
        sum(table.positions * table.features for table in set(replica.network.rotary)) * replica.element_bytes
    )
    runtime = runtime_counted_as_weights(replica.device.generation)
    return sum(map(allocated_bytes, stored.values())) + tables + runtime


def stored_bytes(tensor: Tensor, replica: Replica) -> int:
    """Bytes of a whole tensor as the checkpoint stores it: packed and with its scales, nothing divided or padded."""
    scheme = replica.plan.scheme_for(tensor.name) if tensor.quantizable else None
    if scheme:
        return scheme.matrix_bytes(tensor.rows, tensor.columns) * tensor.copies
    return tensor.elements * (tensor.element_bytes or stored_element_bytes(replica.network.dtype))


def _tensor_bytes(tensor: Tensor, scheme: Scheme | None, replica: Replica) -> int:
    capability = replica.device.compute_capability
    kernel = expert_kernel(scheme, capability) if tensor.split in EXPERT_SPLITS else PLAIN
    rows, columns, copies = shard(tensor, scheme, replica, padded=kernel is not PLAIN)
    if scheme is None:
        return rows * max(columns, 1) * (tensor.element_bytes or replica.element_bytes) * copies
    rows, columns = kernel.sides(rows, columns, reads_width=tensor.split is Split.EXPERT_COLUMNS)
    return kernel.matrix_bytes(scheme, rows, columns) * copies


def allocated_bytes(size: int) -> int:
    """What PyTorch's CUDA allocator counts for one tensor.

    From 10 MiB on a tensor gets a segment of its own, rounded up to 2 MiB; the rest is split off only if it is larger
    than 1 MiB. Smaller ones are rounded to 512 bytes. (It turns 14.185 GiB of Qwen2.5-7B into the logged 14.249.)
    """
    segment = -(-size // (2 * _MIB)) * 2 * _MIB
    if size >= 10 * _MIB and segment - size <= _MIB:
        return segment
    return -(-size // 512) * 512


def shard(
    tensor: Tensor, scheme: Scheme | None, replica: Replica, *, padded: bool = False
) -> tuple[int, int, int]:
    """Rows, columns and copies of `tensor` on one GPU; `padded` where the kernel takes sides that do not divide."""
    rows, columns, copies, split, ranks = (
        tensor.rows,
        tensor.columns,
        tensor.copies,
        tensor.split,
        replica.ranks,
    )
    if split is Split.VOCABULARY:
        step = _VOCABULARY_MULTIPLE * ranks
        return -(-rows // step) * _VOCABULARY_MULTIPLE, columns, copies
    if ranks == 1 or split is Split.WHOLE:
        return rows, columns, copies
    if split in EXPERT_SPLITS and replica.settings.expert_parallel:
        return rows, columns, -(-copies // ranks)
    if split in (Split.COLUMNS, Split.EXPERT_COLUMNS):
        step = (scheme.block or scheme.group) if scheme else 0
        return (
            (rows, _divide(tensor, columns, ranks, step, padded=padded), copies)
            if columns
            else (rows, 0, copies)
        )
    ways = min(ranks, tensor.heads) if split is Split.KV_HEADS else ranks
    return _divide(tensor, rows, ways, scheme.block if scheme else 0, padded=padded), columns, copies


def _divide(tensor: Tensor, features: int, ranks: int, step: int, *, padded: bool) -> int:
    """`features` over `ranks`; `step` features share a quantization scale and must stay together."""
    if padded:
        return -(-features // (ranks * step)) * step if step else -(-features // ranks)
    if features % ranks:
        message = f"{ranks} ranks do not divide the {features} features of {tensor.name}"
        raise SizingError("tensor_parallel_size", message)
    part = features // ranks
    if step and part % step:
        way_out = "; expert parallelism keeps experts whole" if tensor.split in EXPERT_SPLITS else ""
        message = (
            f"{features} features of {tensor.name} over {ranks} ranks make {part}, no multiple of the {step} "
        )
        raise SizingError("tensor_parallel_size", message + f"that share one quantization scale{way_out}")
    return part


def stage_layers(network: Network, stages: int) -> tuple[tuple[Layer, ...], ...]:
    """Layers by pipeline stage, as vLLM divides them: what does not divide goes to the stages before the last."""
    count = len(network.layers)
    if stages > count:
        raise SizingError(
            "pipeline_parallel_size", f"{stages} stages are more than the model's {count} layers"
        )
    sizes = [count // stages] * stages
    for index in range(2, count % stages + 2):
        sizes[-index] += 1
    ends = [sum(sizes[: index + 1]) for index in range(stages)]
    return tuple(network.layers[end - size : end] for end, size in zip(ends, sizes, strict=True))


def stage_tensors(network: Network, stages: int) -> tuple[tuple[Tensor, ...], ...]:
    """Tensors by pipeline stage: embeddings and towers on the first, final norm and head on the last."""
    by_stage = []
    for index, layers in enumerate(stage_layers(network, stages)):
        tensors = [tensor for layer in layers for tensor in layer.tensors]
        if index == 0:
            tensors = [*network.entry, *(network.tower.tensors if network.tower else ()), *tensors]
        if index == stages - 1:
            tensors = [*tensors, *network.exit]
        if index == stages - 1 > 0 and not any(tensor.name == "lm_head" for tensor in network.exit):
            tensors.append(
                network.entry[0]
            )  # the last stage's head is a copy of the embeddings it is tied to
        by_stage.append(tuple(tensors))
    return tuple(by_stage)
