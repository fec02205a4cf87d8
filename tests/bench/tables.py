"""Results of a bench: tables that read well in a terminal and in a document, and bars that end it with 1."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table in Markdown, its columns aligned."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n{title}\n")
    for number, line in enumerate(lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(f"| {' | '.join(cells)} |")
        if number == 0:
            print(f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    sys.stdout.flush()


def judge(missed: Sequence[str]) -> NoReturn:
    """Ends the bench: 1 if a bar was missed, each with a sentence."""
    for bar in missed:
        print(f"missed: {bar}", file=sys.stderr)
    sys.exit(1 if missed else 0)


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample that this share of them does not exceed; infinite where there is none."""
    if not samples:
        return float("inf")
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]
