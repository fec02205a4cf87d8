"""Devices an engine can run on: physical memory, generation, links and dated prices, read from devices.json."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infra.errors import SizingError

_DATA = Path(__file__).with_name("devices.json")


@dataclass(frozen=True)
class Price:
    """What one GPU costs for one hour: a rate of a given day from a named source, never a promise."""

    usd_per_hour: float
    date: str
    source: str
    spot: bool = False


@dataclass(frozen=True)
class Device:
    """One kind of GPU, or the CPU of a lab node or a server without one.

    `memory_bytes` is what the driver reports to vLLM, not the number on the box: an "80 GB" H100 has 79.19 GiB.
    `link_bytes_per_s` is the two-way bandwidth of one GPU to its neighbours in one node.
    """

    name: str
    kind: str
    memory_bytes: int
    generation: str
    compute_capability: str
    link: str
    link_bytes_per_s: int | None
    price: Price | None
    aliases: tuple[str, ...] = ()
    memory_source: str = ""


@functools.cache
def load_devices() -> Mapping[str, Device]:
    """Every device of the catalog by its name."""
    entries = json.loads(_DATA.read_text(encoding="utf-8"))["devices"]
    return MappingProxyType({entry["name"]: _device(entry) for entry in entries})


def device_named(name: str) -> Device:
    """The device called `name`, or one of its aliases; case, spaces and dashes do not matter.

    Raises SizingError with the nearest names for anything else.
    """
    known = _by_spelling()
    if device := known.get(_spelling(name)):
        return device
    near = difflib.get_close_matches(_spelling(name), known, n=3, cutoff=0.5)
    nearest = ", ".join(dict.fromkeys(known[spelling].name for spelling in near)) or ", ".join(load_devices())
    raise SizingError("gpu", f"{name!r} is not in the catalog of devices; did you mean {nearest}?")


def device_of_memory(memory_bytes: int) -> Device:
    """An unnamed GPU of this memory: taken for the catalog's GPU that has it to 0.1 %, else for none.

    Drivers differ by a little more than that, so H100 (79.19 GiB) and A100 (79.25) are told apart mostly, not surely.
    """
    near = [device for device in load_devices().values() if _distance(device, memory_bytes) <= 0.001]
    if not near or memory_bytes < 1:
        return Device(
            f"unnamed GPU of {memory_bytes / (1 << 30):.2f} GiB",
            "gpu",
            memory_bytes,
            "",
            "",
            "pcie",
            None,
            None,
        )
    nearest = min(near, key=lambda device: (_distance(device, memory_bytes), device.link != "nvlink"))
    return replace(nearest, memory_bytes=memory_bytes)


def _distance(device: Device, memory_bytes: int) -> float:
    return abs(device.memory_bytes / memory_bytes - 1) if device.kind == "gpu" and memory_bytes > 0 else 1.0


@functools.cache
def _by_spelling() -> dict[str, Device]:
    return {
        _spelling(word): device
        for device in load_devices().values()
        for word in (device.name, *device.aliases)
    }


def _spelling(name: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", name.lower().removeprefix("nvidia "))


def _device(entry: Mapping[str, Any]) -> Device:
    price = entry["price"]
    return Device(**{**entry, "price": price and Price(**price), "aliases": tuple(entry["aliases"])})
