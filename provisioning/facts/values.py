"""A machine's facts as values, and as properties for Pulumi's state, where every number is a float."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver reports it; an empty text is a "[N/A]" or a field that this driver does not know.

    `memory_bytes` is the driver's total (81559 MiB for an H100), a little more than a program can have.
    `mig` and `ecc` are "Enabled" or "Disabled". `fabric` is "Completed, Success" where NVSwitches are ready to use.
    `recovery` is what the driver asks for to heal the GPU: "None", "Reset", "Reboot" …
    """

    index: int
    uuid: str
    name: str
    memory_bytes: int
    compute_capability: str
    pci_address: str
    persistence: str = ""
    mig: str = ""
    ecc: str = ""
    fabric: str = ""
    recovery: str = ""


@dataclass(frozen=True)
class HostFacts:
    """One machine, as its operating system and its NVIDIA driver describe it.

    `os_id` and `os_like` are /etc/os-release's ID and ID_LIKE. `cloud_init` is its status ("done", "error", "running",
    "disabled"), empty where there is none. `pci_gpus` are the PCI ids of NVIDIA GPUs ("10de:2330"), seen with or
    without a driver; `driver_problem` is what a failing nvidia-smi says. `nvlinks[i][j]` counts the links between GPUs
    i and j; 0 means PCIe. `free_bytes` maps a folder to what its file system has left, `listening_ports` are TCP's and
    `addresses` the machine's own for IPv4: these are of the moment.
    """

    os_id: str
    os_version: str
    os_like: str
    architecture: str
    kernel: str
    boot_id: str
    memory_bytes: int
    systemd: bool
    cloud_init: str = ""
    pci_gpus: tuple[str, ...] = ()
    driver_version: str = ""
    driver_problem: str = ""
    has_libcuda: bool = False
    gpus: tuple[Gpu, ...] = ()
    nvlinks: tuple[tuple[int, ...], ...] = ()
    free_bytes: Mapping[str, int] = field(default_factory=dict)
    listening_ports: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ()


_OF_THE_MOMENT = frozenset({"free_bytes", "listening_ports", "addresses"})


def facts_to_properties(facts: HostFacts) -> dict[str, Any]:
    """The lasting facts as plain dicts, lists, numbers and texts, key for key.

    Those of the moment are left out: our own services change them, and the machine would never look the same twice.
    """
    properties = dataclasses.asdict(facts)
    properties["gpus"] = [dataclasses.asdict(gpu) for gpu in facts.gpus]
    properties["nvlinks"] = [list(row) for row in facts.nvlinks]
    properties["pci_gpus"] = list(facts.pci_gpus)
    return {key: value for key, value in properties.items() if key not in _OF_THE_MOMENT}


def facts_from_properties(properties: Mapping[str, Any]) -> HostFacts:
    """The way back. Raises KeyError or TypeError for missing or unknown keys: they come from another version."""
    gpus = (
        {**gpu, "index": int(gpu["index"]), "memory_bytes": int(gpu["memory_bytes"])}
        for gpu in properties["gpus"]
    )
    return HostFacts(
        **{
            **properties,
            "memory_bytes": int(properties["memory_bytes"]),
            "pci_gpus": tuple(properties["pci_gpus"]),
            "gpus": tuple(Gpu(**gpu) for gpu in gpus),
            "nvlinks": tuple(tuple(int(cell) for cell in row) for row in properties["nvlinks"]),
        }
    )
