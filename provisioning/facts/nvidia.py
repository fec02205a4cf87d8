"""What nvidia-smi prints, as values: the GPU table and the matrix of links between GPUs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from provisioning.facts.questions import GPU_FIELDS, NEWER_GPU_FIELDS
from provisioning.facts.values import Gpu

_MIB = 1 << 20
_TERMINAL_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
"""The header of `topo -m` is underlined by escape codes, even in a pipe."""
_ABSENT = frozenset({"[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]"})


@dataclass(frozen=True)
class Driver:
    """The driver's answer: its version and GPUs, or what it says instead."""

    version: str = ""
    problem: str = ""
    gpus: tuple[Gpu, ...] = ()


def parse_gpus(table: str, newer_table: str) -> Driver:
    """GPUs from the two CSV answers, without headers and units; the second may be a refusal of an older driver."""
    rows = _rows(table, len(GPU_FIELDS))
    if not rows:
        return Driver(problem=_problem(table))
    newer = {row[0]: row for row in _rows(newer_table, len(NEWER_GPU_FIELDS))}
    return Driver(rows[0][4], "", tuple(_with_newer(_gpu(row), newer.get(row[0])) for row in rows))


def parse_topology(text: str) -> tuple[tuple[int, ...], ...]:
    """NVLinks between each pair of GPUs, from `nvidia-smi topo -m`: NV18 is 18 links, every other word is PCIe.

    Columns for network cards and affinities are passed over. Empty when there is no matrix.
    """
    lines = [line.split("\t") for line in _TERMINAL_ESCAPE.sub("", text).splitlines()]
    header = next((cells for cells in lines if len(cells) > 1 and cells[1].strip() == "GPU0"), None)
    if header is None:
        return ()
    columns = [i for i, name in enumerate(header) if re.fullmatch(r"GPU\d+", name.strip())]
    rows = [cells for cells in lines if cells is not header and re.fullmatch(r"GPU\d+", cells[0].strip())]
    return tuple(tuple(_links(cells[i] if i < len(cells) else "") for i in columns) for cells in rows)


def _problem(table: str) -> str:
    """What nvidia-smi says instead of rows, or at least how it ended; empty when it was not there to be asked."""
    said = " ".join(line for line in table.splitlines() if not line.startswith("exit "))
    return said or (f"nvidia-smi says nothing ({table.strip()})" if table.strip() else "")


def _rows(table: str, width: int) -> list[list[str]]:
    """The lines that are rows of the asked table; a GPU's name holds no comma."""
    cells = ([cell.strip() for cell in line.split(",")] for line in table.splitlines())
    return [row for row in cells if len(row) == width and row[0].isdigit()]


def _gpu(row: list[str]) -> Gpu:
    index, uuid, name, memory_mib, _, capability, address, persistence, mig, ecc = map(_known, row)
    return Gpu(
        index=int(index),
        uuid=uuid,
        name=name,
        memory_bytes=int(memory_mib) * _MIB if memory_mib.isdigit() else 0,
        compute_capability=capability,
        pci_address=address,
        persistence=persistence,
        mig=mig,
        ecc=ecc,
    )


def _with_newer(gpu: Gpu, row: list[str] | None) -> Gpu:
    if row is None:
        return gpu
    _, state, status, recovery = map(_known, row)
    return replace(gpu, fabric=", ".join(word for word in (state, status) if word), recovery=recovery)


def _known(cell: str) -> str:
    return "" if cell in _ABSENT else cell


def _links(cell: str) -> int:
    bond = re.fullmatch(r"NV(\d+)", cell.strip())
    return int(bond[1]) if bond else 0
