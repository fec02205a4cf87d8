"""YAML text to a document.

The events of PyYAML's parser are read here directly, not its constructed objects: so every value keeps its place and
spelling, a key written twice is named with both lines, and words that YAML readers disagree about (yes, 010, 1_000)
stay text until a field asks for something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from infra.spec.document import Document, Entry, Fault, Path, Place
from infra.spec.syntax import explain_syntax

MAX_DEPTH = 32
"""Levels of nesting that are read. A spec has six."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_REAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


def read_yaml(text: str) -> Document:
    """Reads the one document in `text`. Whatever the text is, the answer is a document, if need be with faults."""
    composer = _Composer(text)
    try:
        root = composer.read()
    except yaml.YAMLError as error:
        place, message = explain_syntax(text, error)
        return Document(Entry(), (*composer.faults, Fault((), message, place)), whole=False)
    except _UnreadableError as error:
        return Document(Entry(), (*composer.faults, *error.args), whole=False)
    return Document(root, tuple(composer.faults))


class _UnreadableError(Exception):
    """Carries the fault that ends the reading."""


class _Composer:
    """Turns events into entries; collects what is wrong but does not hinder further reading."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self._anchors: dict[str, Entry] = {}
        self._events: Iterator[Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def read(self) -> Entry:
        next(self._events)  # the stream's start
        if not isinstance(next(self._events), DocumentStartEvent):
            return Entry()
        root = self._entry(next(self._events), ())
        next(self._events)  # the document's end
        more = next(self._events)
        if isinstance(more, DocumentStartEvent):
            message = (
                "a second document begins here: a spec is one document, move this one to a file of its own"
            )
            raise _UnreadableError(Fault((), message, _place(more)))
        return root

    def _entry(self, event: Event, path: Path) -> Entry:
        if len(path) > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep: a spec has six"
            raise _UnreadableError(Fault((), message, _place(event)))
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        if not isinstance(event, ScalarEvent | CollectionStartEvent):
            raise TypeError(f"{event!r} where a value begins")
        if event.tag is not None:
            self._fault(event, path, f"has the tag {_tag(event.tag)}: a spec has no use for tags, remove it")
        entry = self._untagged(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = entry
        return entry

    def _untagged(self, event: ScalarEvent | CollectionStartEvent, path: Path) -> Entry:
        if isinstance(event, ScalarEvent):
            return Entry(_place(event), _scalar(event), _text(event))
        if isinstance(event, SequenceStartEvent):
            return self._sequence(event, path)
        return self._mapping(event, path)

    def _alias(self, event: AliasEvent, path: Path) -> Entry:
        if event.anchor not in self._anchors:
            self._fault(
                event, path, f"no complete &{event.anchor} stands above this *{event.anchor}: define it first"
            )
            return Entry(_place(event))
        return self._anchors[event.anchor]

    def _sequence(self, start: Event, path: Path) -> Entry:
        items: dict[str | int, Entry] = {}
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items[len(items)] = self._entry(event, (*path, len(items)))
        return Entry(_place(start), [item.value for item in items.values()], children=items)

    def _mapping(self, start: Event, path: Path) -> Entry:
        own: dict[str | int, Entry] = {}
        merged: dict[str | int, Entry] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path)
            value = self._entry(next(self._events), (*path, key))
            if key == "<<" and _is_plain(event):
                merged = {**self._merge(event, value, path), **merged}
            elif key in own:
                first = own[key].place.line
                self._fault(
                    event, (*path, key), f"stands twice, here and on line {first}: remove one of them"
                )
            elif key:
                own[key] = replace(value, place=_place(event))
        children = {**merged, **own}
        return Entry(_place(start), {key: child.value for key, child in children.items()}, children=children)

    def _key(self, event: Event, path: Path) -> str:
        """The key as it is spelled, or nothing (after a fault) where it is no plain text."""
        if not isinstance(event, ScalarEvent):
            self._fault(event, path, "a key must be plain text, not a list, a mapping or an alias")
            if not isinstance(event, AliasEvent):
                self._entry(event, (*path, ""))
            return ""
        if event.tag is not None or not event.value:
            self._fault(event, path, "a key is empty or has a tag: write `key: value`")
        return _text(event)

    def _merge(self, event: Event, value: Entry, path: Path) -> dict[str | int, Entry]:
        sources = list(value.children.values()) if isinstance(value.value, list) else [value]
        if not all(isinstance(source.value, dict) for source in sources):
            self._fault(event, path, "<< takes a mapping, or a list of mappings, by alias: write `<<: *name`")
            return {}
        merged: dict[str | int, Entry] = {}
        for source in reversed(sources):
            merged.update(source.children)
        return merged

    def _fault(self, event: Event, path: Path, message: str) -> None:
        self.faults.append(Fault(path, message, _place(event)))


def _place(event: Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place()


def _tag(tag: object) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")


def _is_plain(event: Event) -> bool:
    """Whether a scalar is neither quoted nor a block."""
    return isinstance(event, ScalarEvent) and event.style is None


def _text(event: ScalarEvent) -> str:
    """The text of a scalar; a character that JSON spells as two escapes is one again, and half a one is U+FFFD."""
    text = str(event.value)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _scalar(event: ScalarEvent) -> object:
    text = _text(event)
    if not _is_plain(event):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text
