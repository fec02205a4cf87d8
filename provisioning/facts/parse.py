"""The script's answer as facts. Pure."""

from __future__ import annotations

import re
import shlex

from provisioning.facts.nvidia import parse_gpus, parse_topology
from provisioning.facts.questions import FOLDERS, sections
from provisioning.facts.values import HostFacts

_LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp (proc(5))."""
_ADDRESS = re.compile(r"\binet ([0-9.]+)")
_DISPLAY_CLASS = "0x03"
"""PCI class 3, display controllers, holds graphics cards (0300) and the data centre's screenless ones (0302)."""


def parse_facts(answer: str) -> HostFacts:
    """The facts in the output of the script. Raises ValueError, naming the section, when one is not as expected."""
    found = sections(answer)
    missing = [name for name in ("os", "machine", "memory", "systemd", "listening") if name not in found]
    if missing:
        raise ValueError(f"the answer has no section {missing[0]!r}")
    system = _os_release(found["os"])
    architecture, kernel, boot_id = _lines(found["machine"], 3, "machine")
    driver = parse_gpus(found.get("gpus", ""), found.get("gpus-newer", ""))
    return HostFacts(
        os_id=system.get("ID", ""),
        os_version=system.get("VERSION_ID", ""),
        os_like=system.get("ID_LIKE", ""),
        architecture=architecture,
        kernel=kernel,
        boot_id=boot_id,
        memory_bytes=_memory_bytes(found["memory"]),
        free_bytes={folder: _free_bytes(found.get(f"disk {folder}", "")) for folder in FOLDERS},
        systemd=found["systemd"] == "running",
        cloud_init=_cloud_init(found.get("cloud-init", "")),
        pci_gpus=_pci_gpus(found.get("pci", "")),
        driver_version=driver.version,
        driver_problem=driver.problem,
        has_libcuda="libcuda.so.1" in found.get("libcuda", ""),
        gpus=driver.gpus,
        nvlinks=parse_topology(found.get("topology", "")),
        listening_ports=_listening_ports(found["listening"]),
        addresses=tuple(_ADDRESS.findall(found.get("addresses", ""))),
    )


def _os_release(text: str) -> dict[str, str]:
    """The KEY=value lines of os-release(5), whose values are quoted as in a shell."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): " ".join(shlex.split(value)) for key, _, value in pairs}


def _lines(text: str, count: int, section: str) -> list[str]:
    lines = text.splitlines()
    if len(lines) != count:
        raise ValueError(f"section {section!r} has {len(lines)} lines, expected {count}")
    return lines


def _memory_bytes(meminfo: str) -> int:
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise ValueError("section 'memory' has no MemTotal")


def _free_bytes(df: str) -> int:
    """The number below df's heading; 0 for a file system that does not say."""
    last = df.split()[-1:]
    return int(last[0]) if last and last[0].isdigit() else 0


def _cloud_init(text: str) -> str:
    """`done` from "status: done", after the dots that --wait prints."""
    for line in text.splitlines():
        _, found, status = line.partition("status: ")
        if found:
            return status.strip()
    return "unknown" if text.strip() else ""


def _pci_gpus(text: str) -> tuple[str, ...]:
    """ "10de:2330" from "0x030200 0x2330"; a GPU's sound and USB functions are left out."""
    pairs = (line.split() for line in text.splitlines() if line.strip())
    return tuple(
        f"10de:{device.removeprefix('0x')}" for kind, device in pairs if kind.startswith(_DISPLAY_CLASS)
    )


def _listening_ports(proc_net_tcp: str) -> tuple[int, ...]:
    """Ports from lines such as "0: 0100007F:1F40 00000000:0000 0A …" of /proc/net/tcp and tcp6."""
    rows = (line.split() for line in proc_net_tcp.splitlines())
    return tuple(
        sorted({int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == _LISTEN})
    )
