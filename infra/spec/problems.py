"""What pydantic found, in the operator's words: one sentence that says what is wrong and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from infra.spec.document import Document, Entry, Fault, Path, shown
from infra.spec.outline import fields_at, homes_of

_KEY = "[key]"
"""What pydantic adds to the location of a mapping's key, as opposed to its value."""


def explain(errors: Sequence[ErrorDetails], document: Document) -> Iterator[Fault]:
    """A fault for each error, except for a missing key whose misspelling is reported already."""
    misspelt = {
        (*error["loc"][:-1], _meant_key(error["loc"]))
        for error in errors
        if error["type"] == "extra_forbidden"
    }
    for error in errors:
        path = tuple(error["loc"])
        if error["type"] == "missing" and path in misspelt:
            continue
        if path[-1] == _KEY and _KEY not in document.find(path[:-1]).children:
            path = path[:-1]
        yield Fault(path, _message(error, path, document.find(path)))


def did_you_mean(word: str, words: Sequence[str]) -> str:
    """`: did you mean agents?`, or nothing where no word is near."""
    near = _nearest(word, words)
    return f": did you mean {near}?" if near else ""


def _message(error: ErrorDetails, path: Path, entry: Entry) -> str:
    kind = error["type"]
    if kind == "missing":
        return f"is missing: give {_noun(path)}"
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "none_required":
        return "is not built yet: remove the key, or leave it null"
    if error["input"] is None:
        required = _is_required(path)
        return f"is empty: give {_noun(path)}" if required else "is empty: give it a value, or remove the key"
    explain_kind = _KINDS.get(kind)
    return explain_kind(error, entry) if explain_kind else f"is not understood: {error['msg']}"


def _noun(path: Path) -> str:
    """The description of the field at `path`, fit for the middle of a sentence."""
    info = fields_at(path[:-1]).get(str(path[-1]))
    text = ((info and info.description) or "its value").removesuffix(".")
    return text[0].lower() + text[1:]


def _is_required(path: Path) -> bool:
    info = fields_at(path[:-1]).get(str(path[-1]))
    return info is None or info.is_required()


def _unknown_key(path: Path) -> str:
    key, known = str(path[-1]), list(fields_at(path[:-1]))
    homes = homes_of(key)
    if homes:
        return f"does not belong here: move it to {' or '.join(homes)}"
    near = _meant_key(path)
    if near:
        return f"is no key of a spec: did you mean {near}?"
    return f"is no key of a spec: the keys here are {', '.join(known)}"


def _meant_key(path: Path) -> str:
    return _nearest(str(path[-1]), list(fields_at(path[:-1])))


def _nearest(word: str, words: Sequence[str]) -> str:
    spelt = {known.lower().replace("-", "_"): known for known in words}
    near = get_close_matches(word.lower().replace("-", "_"), spelt, n=1, cutoff=0.6)
    return spelt[near[0]] if near else ""


def _whole_number(_: ErrorDetails, entry: Entry) -> str:
    meant = _meant_integer(entry)
    return f"must be a whole number, not {_what(entry)}" + (f": write {meant}" if meant is not None else "")


def _number(_: ErrorDetails, entry: Entry) -> str:
    percent = isinstance(entry.value, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)? ?%", entry.value)
    meant = float(entry.value.rstrip("% ")) / 100 if percent else _meant_number(entry)
    return f"must be a number, not {_what(entry)}" + (f": write {meant}" if meant is not None else "")


def _finite(_: ErrorDetails, entry: Entry) -> str:
    return f"must be a number that is neither infinite nor undefined, not {entry.spelling}"


def _switch(_: ErrorDetails, entry: Entry) -> str:
    meant = {"yes": "true", "on": "true", "y": "true", "1": "true", "true": "true"}
    meant |= {"no": "false", "off": "false", "n": "false", "0": "false", "false": "false"}
    hint = meant.get(entry.spelling.lower())
    return f"must be true or false, not {_what(entry)}" + (f": write {hint}" if hint else "")


def _text(_: ErrorDetails, entry: Entry) -> str:
    hint = f": write '{shown(entry.spelling)}', in quotes" if entry.spelling else ""
    return f"must be text, not {_what(entry)}{hint}"


def _choice(error: ErrorDetails, entry: Entry) -> str:
    words = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ",").split(",")]
    allowed = f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    written = _what(entry) if isinstance(entry.value, list | dict) else shown(entry.spelling)
    return f"must be {allowed}, not {written}" + did_you_mean(entry.spelling, words)


def _mapping(_: ErrorDetails, entry: Entry) -> str:
    hint = "remove the hyphens" if isinstance(entry.value, list) else "write its keys below it, indented"
    return f"must be a mapping of keys, not {_what(entry)}: {hint}"


def _list(_: ErrorDetails, entry: Entry) -> str:
    if isinstance(entry.value, dict):
        return "must be a list, not a mapping: begin each entry with a hyphen"
    return f"must be a list, not {_what(entry)}: write [{shown(entry.spelling)}]"


def _too_short(_: ErrorDetails, entry: Entry) -> str:
    return f"is an empty {'list' if isinstance(entry.value, list) else 'mapping'}: give at least one entry"


def _bound(words: str, limit: str) -> Callable[[ErrorDetails, Entry], str]:
    return lambda error, entry: f"must be {words} {_brief(error['ctx'][limit])}, not {_what(entry)}"


def _brief(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


_KINDS: Mapping[str, Callable[[ErrorDetails, Entry], str]] = {
    "int_type": _whole_number,
    "int_from_float": _whole_number,
    "float_type": _number,
    "finite_number": _finite,
    "bool_type": _switch,
    "string_type": _text,
    "enum": _choice,
    "model_type": _mapping,
    "mapping_type": _mapping,
    "dict_type": _mapping,
    "tuple_type": _list,
    "too_short": _too_short,
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
}


def _what(entry: Entry) -> str:
    """What was written instead: `5`, `the text '5'`, `a list`."""
    value: Any = entry.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text '{shown(value)}'"
    return shown(entry.spelling)


def _meant_integer(entry: Entry) -> int | None:
    number = _meant_number(entry)
    return int(number) if number is not None and number == int(number) else None


def _meant_number(entry: Entry) -> int | float | None:
    """The number that text such as '5', 010, 1_000, $1,000 or 0x10 stands for, if it is short enough to tell."""
    plain = entry.spelling.replace("_", "").replace(",", "").removeprefix("$")
    if len(plain) > 20 or isinstance(entry.value, bool) or entry.children:
        return None
    for read in (int, lambda text: int(text, 0), float):
        try:
            number = read(plain)
        except ValueError:
            continue
        return number if abs(number) < 1e15 else None
    return None
