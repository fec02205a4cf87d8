"""Numbers as people read them."""

from __future__ import annotations

_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def size_text(size_bytes: int) -> str:
    """A size for people: 64.00 GiB, 3.50 MiB, 512 B."""
    for unit, factor in _UNITS:
        if abs(size_bytes) >= factor:
            return f"{size_bytes / factor:.2f} {unit}"
    return f"{size_bytes} B"


def count_text(count: int, noun: str) -> str:
    """1 replica, 2 replicas."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def cost_text(dollars_per_hour: float | None) -> str:
    """Dollars per hour for people; an unknown price stays unknown."""
    return "unknown" if dollars_per_hour is None else f"${dollars_per_hour:.2f} per hour"
