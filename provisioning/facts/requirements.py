"""What a plan needs of a machine, held against what the machine is: every shortfall in one go, as sentences. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.facts.values import Gpu, HostFacts

_GIB = 1 << 30


@dataclass(frozen=True)
class Requirements:
    """What the plan needs; an empty or zero field asks for nothing.

    `listen_address` is where programs are to listen: an address of the machine's own, or a name, which is not checked.
    `device` is the plan's own name for the GPU, `device_names` are the names by which a driver may call it.
    `min_driver` is the first good branch, such as 580 for the CUDA 13 builds of vLLM 0.20 and newer; with 0 and no
    `device_names` no GPU is asked for at all. `systems` are an os-release ID each, alone or with a version ("ubuntu
    24.04").
    """

    device: str = ""
    device_names: tuple[str, ...] = ()
    device_count: int = 0
    min_driver: int = 0
    listen_address: str = ""
    memory_bytes: int = 0
    disk_bytes: Mapping[str, int] = field(default_factory=dict)
    architectures: tuple[str, ...] = ("x86_64", "aarch64")
    systems: tuple[str, ...] = ("debian", "ubuntu")

    @property
    def wants_gpus(self) -> bool:
        """Whether the plan puts anything on a GPU."""
        return self.device_count > 0 and bool(self.min_driver or self.device_names)


def unmet(facts: HostFacts, requirements: Requirements | Mapping[str, Any]) -> list[str]:
    """One sentence per shortfall, the machine being its subject: "has 62 GiB of memory and needs 64 GiB".

    A mapping holds the fields of Requirements by name; an unknown one raises TypeError, since a requirement that is
    passed over in silence is worse.
    """
    wanted = requirements if isinstance(requirements, Requirements) else _from_properties(requirements)
    found = [*_system(facts, wanted), *_sizes(facts, wanted), *_address(facts, wanted)]
    if wanted.wants_gpus:
        found += _gpus(facts, wanted)
    return found


def _from_properties(properties: Mapping[str, Any]) -> Requirements:
    """Numbers come from Pulumi as floats, tuples as lists, and what was left out as None."""
    given: dict[str, Any] = {key: value for key, value in properties.items() if value is not None}
    for key, value in given.items():
        if isinstance(value, float):
            given[key] = int(value)
        elif isinstance(value, list):
            given[key] = tuple(value)
    return Requirements(**given)


def _system(facts: HostFacts, wanted: Requirements) -> Iterator[str]:
    if wanted.architectures and facts.architecture not in wanted.architectures:
        yield f"is a {facts.architecture} machine and needs to be {' or '.join(wanted.architectures)}"
    if wanted.systems and not _is_one_of(facts, wanted.systems):
        runs = f"{facts.os_id} {facts.os_version}".strip() or "an unknown system"
        yield f"runs {runs} and needs {' or '.join(wanted.systems)}; install one of these"
    if not facts.systemd:
        yield "is not run by systemd, which starts and watches every service; use an image that is"
    if facts.cloud_init.startswith("error"):
        yield "did not finish its first boot; `cloud-init status --long` there says why"
    elif facts.cloud_init.startswith(("running", "not ", "unknown")):
        yield f"is still in its first boot (cloud-init: {facts.cloud_init}); run again when it has finished"


def _is_one_of(facts: HostFacts, systems: tuple[str, ...]) -> bool:
    """By the system's own name, or by that of a system which it says to be like."""
    own = {facts.os_id, f"{facts.os_id} {facts.os_version}", *facts.os_like.split()}
    return not own.isdisjoint(systems)


def _sizes(facts: HostFacts, wanted: Requirements) -> Iterator[str]:
    if facts.memory_bytes < wanted.memory_bytes:
        yield f"has {_gib(facts.memory_bytes)} of memory and needs {_gib(wanted.memory_bytes)}"
    for folder, needed_bytes in wanted.disk_bytes.items():
        free_bytes = facts.free_bytes.get(folder)
        if free_bytes is not None and free_bytes < needed_bytes:
            sizes = f"has {_gib(free_bytes)} free in {folder} and needs {_gib(needed_bytes)}"
            yield f"{sizes}; free some or mount a larger disk there"


def _address(facts: HostFacts, wanted: Requirements) -> Iterator[str]:
    """A name is not looked up here, and a machine that cannot list its addresses is believed."""
    is_name = not re.fullmatch(r"[0-9.]+", wanted.listen_address)
    if is_name or not facts.addresses or wanted.listen_address in facts.addresses:
        return
    own = ", ".join(address for address in facts.addresses if not address.startswith("127.")) or "none"
    yield (
        f"has no address {wanted.listen_address}, where its engines are to listen, and its own are {own}; "
        "behind NAT give its own as listen_address in the spec"
    )


def _gpus(facts: HostFacts, wanted: Requirements) -> Iterator[str]:
    """GPUs are used from index 0 on, so the first `device_count` of them must be right."""
    if not facts.gpus:
        yield _no_gpus(facts, wanted)
        return
    used = [gpu for gpu in facts.gpus if gpu.index < wanted.device_count]
    if len(used) < wanted.device_count or not all(_is_named(gpu, wanted.device_names) for gpu in used):
        asked = f"{wanted.device_count} x {wanted.device or 'GPU'}"
        yield f"has {_counted(facts.gpus)} and the plan asks for {asked}; correct its device or devices in the spec"
    yield from _driver(facts, wanted)
    yield from _ailing(used)


def _no_gpus(facts: HostFacts, wanted: Requirements) -> str:
    install = f"install driver {wanted.min_driver or 580} or newer"
    if facts.driver_problem:
        return (
            f'has an NVIDIA driver that does not work ("{facts.driver_problem[:200]}"); '
            f"reboot it if the driver was just updated, else {install}"
        )
    if facts.pci_gpus:
        ids = ", ".join(sorted(set(facts.pci_gpus)))
        return f"has {len(facts.pci_gpus)} x NVIDIA GPU ({ids}) without a driver; {install}"
    return f"has no NVIDIA GPU and the plan asks for {wanted.device_count} x {wanted.device or 'GPU'}"


def _driver(facts: HostFacts, wanted: Requirements) -> Iterator[str]:
    branch = facts.driver_version.partition(".")[0]
    if wanted.min_driver and (not branch.isdigit() or int(branch) < wanted.min_driver):
        yield (
            f"has NVIDIA driver {facts.driver_version or 'of no known version'} and the planned vLLM needs "
            f"{wanted.min_driver} or newer; install it and reboot"
        )
    if not facts.has_libcuda:
        yield "has a driver without libcuda.so.1; install the driver's compute libraries (libnvidia-compute, libcuda1)"


def _ailing(gpus: list[Gpu]) -> Iterator[str]:
    problems: tuple[tuple[Callable[[Gpu], bool], str], ...] = (
        (
            lambda gpu: gpu.mig == "Enabled",
            "{which} divided by MIG; `nvidia-smi -mig 0` and a GPU reset undo that",
        ),
        (
            lambda gpu: bool(gpu.fabric) and gpu.fabric != "Completed, Success",
            "{which} waiting for NVSwitch ({fabric}); start nvidia-fabricmanager in exactly the driver's version",
        ),
        (
            lambda gpu: gpu.recovery not in ("", "None"),
            "{which} faulty and the driver asks for: {recovery}; do that first",
        ),
    )
    for is_ailing, sentence in problems:
        ailing = [gpu for gpu in gpus if is_ailing(gpu)]
        if ailing:
            names = ", ".join(str(gpu.index) for gpu in ailing)
            which = f"has GPU {names}" if len(ailing) == 1 else f"has GPUs {names}"
            yield sentence.format(which=which, fabric=ailing[0].fabric, recovery=ailing[0].recovery)


def _is_named(gpu: Gpu, names: tuple[str, ...]) -> bool:
    return not names or _spelling(gpu.name) in {_spelling(name) for name in names}


def _spelling(name: str) -> str:
    """Without case, spaces, dashes and the maker's name: "NVIDIA H100 80GB HBM3" is "h10080gbhbm3"."""
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("nvidia "))


def _counted(gpus: tuple[Gpu, ...]) -> str:
    return " and ".join(f"{count} x {name}" for name, count in Counter(gpu.name for gpu in gpus).items())


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.4g} GiB"
