"""The ways a pool could run on one kind of device: for each split a shape that seats its sessions, or why none does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from infra.catalog.devices import Device, device_named
from infra.errors import SizingError
from infra.packing import Load
from infra.plan.limits import refusal
from infra.plan.sizing import Request, Shape, missing_bytes, needless_splits, shapes, tensor_parallel_sizes
from infra.plan.text import count_text, size_text
from infra.plan.wishes import CROWDED


@dataclass(frozen=True)
class Wanted:
    """A pool that needs machines. The operator may have fixed numbers of the request, and the device."""

    request: Request
    device: str | None = None


@dataclass(frozen=True)
class Way:
    """One device and split for a pool. `shape` is None where `refused` says why it cannot be.

    `understood` is False where the memory model or the engine refuses the combination, as opposed to a lack of room.
    `needless` is True for a split over PCIe that is wider than the model needs (infra/plan/sizing.py).
    """

    pool: str
    device: str
    tensor_parallel_size: int
    shape: Shape | None
    refused: str = ""
    understood: bool = True
    needless: bool = False

    @property
    def label(self) -> str:
        """`2 x H100-PCIe`, with the split where a replica has several GPUs; without a number where there is none."""
        return label(self.device, self.tensor_parallel_size, self.shape.gpus if self.shape else None)

    @property
    def load(self) -> Load | None:
        """What the search places."""
        if self.shape is None:
            return None
        return Load(self.pool, self.device, self.tensor_parallel_size, self.shape.replicas)


def label(device: str, size: int, gpus: int | None = None) -> str:
    """How a way is called in sentences: `4 x H100-SXM in replicas of 2`."""
    return (f"{gpus} x {device}" if gpus else device) + (f" in replicas of {size}" if size > 1 else "")


def ways(wanted: Wanted, device: str, largest_node: int) -> Iterator[Way]:
    """Each split that a node of so many GPUs allows, the smallest first; a SizingError becomes a way's refusal."""
    request, known = wanted.request, device_named(device)
    settings = request.settings
    unfit = refusal(known, settings.kv_cache_dtype, settings.quantization, request.model.name)
    found = [
        _refused(request, device, size, unfit) if unfit else _way(request, known, size)
        for size in tensor_parallel_sizes(request, largest_node)
    ]
    needless = needless_splits(way.shape for way in found if way.shape)
    for way in found:
        yield dataclasses.replace(way, needless=way.tensor_parallel_size in needless)


def _way(request: Request, device: Device, size: int) -> Way:
    fixed = dataclasses.replace(request, tensor_parallel_size=size)
    try:
        shape = next(iter(shapes(fixed, device, size)), None)
        why = _no_room(fixed, device, size) if shape is None else _unseated(fixed, shape)
    except SizingError as error:
        return _refused(request, device.name, size, error)
    return Way(request.pool, device.name, size, None if why else shape, why)


def _refused(request: Request, device: str, size: int, error: SizingError) -> Way:
    return Way(request.pool, device, size, None, f"{error.field}: {error.message}", understood=False)


def _no_room(request: Request, device: Device, size: int) -> str:
    _, missing = missing_bytes(request, device, size)
    if not missing and request.spread.unbounded:
        return CROWDED
    session = f"one session of {request.settings.max_model_len} tokens"
    return f"{session} lacks {size_text(missing)} on each GPU" if missing else f"{session} does not fit"


def _unseated(request: Request, shape: Shape) -> str:
    """Numbers that the operator fixed may leave sessions without a seat."""
    if shape.seats_all:
        return ""
    replicas = count_text(shape.replicas, "replica")
    if shape.slots * shape.replicas >= request.sessions:
        busiest = f"the busiest of {replicas}, as fixed, gets up to {shape.peak_sessions} sessions"
        return f"{busiest}, hashed, and seats {shape.slots}"
    return f"{replicas}, as fixed, seat {shape.slots * shape.replicas} of {request.sessions} sessions"
