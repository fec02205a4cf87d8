"""What is wrong with a text that is no YAML, in words that say how to mend it."""

from __future__ import annotations

import re

from yaml import MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

from infra.spec.document import Place

_CAUSES: tuple[tuple[str, str, bool], ...] = (
    (r"character '\\t'", "a tab stands where YAML allows only spaces: replace it by spaces", False),
    (
        r"mapping values are not allowed here",
        "a colon is not expected here: put text that holds a colon in quotes, and check the line's indentation",
        False,
    ),
    (
        r"could not find expected ':'",
        "this line has no colon after its key: write `key: value`, with a space after the colon",
        True,
    ),
    (
        r"expected <block end>, but found '-'",
        "a list item stands among keys: indent it below its key, or remove the hyphen",
        False,
    ),
    (
        r"expected <block end>",
        "this line's indentation fits none above it: begin it in the same column as its neighbours",
        False,
    ),
    (r"unexpected end of stream", "this quote is never closed: add the closing quote", True),
    (r"expected ',' or '(.)'", "a comma or the closing {} is missing in what begins here: add it", True),
    (r"found character '(.)'", "a value cannot begin with {}: put the value in quotes", False),
    (
        r"unknown escape character",
        "a backslash in double quotes begins an escape: use single quotes, or double the backslash",
        False,
    ),
    (
        r"expected chomping",
        "a block of text begins on the line after | or >: move this text down, or put it in quotes",
        False,
    ),
    (r"expected alphabetic", "& and * begin an anchor and an alias: put the value in quotes", False),
    (r"but found '<stream end>'", "the file ends in the middle of a list or mapping: close it", False),
    (
        r"expected the node content, but found '(.*)'",
        "a value is missing before this {}: add it or remove the {}",
        False,
    ),
)
"""Pattern in PyYAML's problem, our message, and whether the fault lies where the construct began."""


def explain_syntax(text: str, error: YAMLError) -> tuple[Place, str]:
    """Where a YAML error lies and what to do about it; PyYAML's own words where they are not known here."""
    if isinstance(error, ReaderError):
        place = _place_of(text, error.position)
        return place, f"the character U+{ord(text[error.position]):04X} is not allowed in YAML: remove it"
    if not isinstance(error, MarkedYAMLError):
        return Place(), f"is not valid YAML: {error}"
    problem = str(error.problem)
    for pattern, message, at_context in _CAUSES:
        if match := re.search(pattern, problem):
            mark = (at_context and error.context_mark) or error.problem_mark
            return _inside(text, mark), message.replace("{}", match[1] if match.re.groups else "")
    return _inside(text, error.problem_mark), f"is not valid YAML: {problem}"


def _inside(text: str, mark: object) -> Place:
    """The mark's place, moved to the last line of the text where a fault shows only at the end."""
    if mark is None:
        return Place()
    return _place_of(text, min(mark.index, len(text.rstrip())))  # type: ignore[attr-defined]


def _place_of(text: str, index: int) -> Place:
    line = text.count("\n", 0, index) + 1
    return Place(line, index - (text.rfind("\n", 0, index) + 1) + 1)
