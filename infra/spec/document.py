"""A YAML document as read: plain values, and the place and spelling of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A line and a column, both counted from 1; 0 is the document as a whole."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True)
class Entry:
    """A value with its place; a mapping's value has the place of its key, an aliased one that of its text."""

    place: Place = Place()
    value: Any = None
    spelling: str = ""
    children: Mapping[str | int, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """Something wrong in a document, in the operator's words: `message` continues "path: ".

    Without a `place` it stands where `path` was written, or where the nearest key above it was.
    """

    path: Path
    message: str
    place: Place | None = None


@dataclass(frozen=True)
class Document:
    """One YAML document, read as far as it could be; `whole` is false where reading had to stop."""

    root: Entry
    faults: tuple[Fault, ...] = ()
    whole: bool = True

    def find(self, path: Path) -> Entry:
        """The entry at `path`, or the nearest one above it; the whole document has no place."""
        entry = Entry(value=self.root.value, children=self.root.children)
        for key in path:
            if key not in entry.children:
                break
            entry = entry.children[key]
        return entry


def format_path(path: Path) -> str:
    """A path as messages name it: `nodes.hosts[0].port`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{shown(key)}"
    return text.removeprefix(".")


def shown(value: object) -> str:
    """A value as a message quotes it: short, printable, and never nothing at all."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value)[:61])
    return (text if len(text) <= 60 else text[:57] + "...") or "empty text"
