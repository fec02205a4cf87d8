"""The spec's text to a FleetSpec, or to every problem in it at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infra.errors import Problem, SpecError
from infra.spec.compose import read_yaml
from infra.spec.document import Document, Fault, format_path
from infra.spec.fleet import FleetSpec
from infra.spec.problems import explain
from infra.spec.rules import broken_rules


def parse(text: str, file: str) -> FleetSpec:
    """Parses a spec; `file` is its name in messages.

    Raises SpecError with all problems, each with its line, whatever the text is.
    """
    document = read_yaml(text)
    spec, faults = _validate(document)
    if faults or spec is None:
        raise SpecError([_problem(fault, document, file) for fault in faults])
    return spec


def _validate(document: Document) -> tuple[FleetSpec | None, list[Fault]]:
    faults = list(document.faults)
    values = document.root.value
    if not document.whole:
        return None, faults
    if not isinstance(values, dict):
        return None, [*faults, _no_mapping(document)]
    try:
        spec = FleetSpec.model_validate(values)
        sound = frozenset(FleetSpec.model_fields)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        faults += _new(explain(errors, document), faults)
        sound = frozenset(FleetSpec.model_fields) - {str(found["loc"][0]) for found in errors}
        spec = _sound_parts(values, sound)
    faults += _new(broken_rules(spec, sound), faults)
    return spec, faults


def _no_mapping(document: Document) -> Fault:
    if document.root.value is None:
        return Fault(
            (),
            "is empty: begin with name, workload, models, pools and nodes, as stacks/stage1.fleet.yaml does",
        )
    kind = "a list" if isinstance(document.root.value, list) else "a single value"
    message = f"holds {kind}: a spec is a mapping, `key: value` with a space after the colon, on each line"
    return Fault((), message, document.root.place)


def _sound_parts(values: dict[str, Any], sound: frozenset[str]) -> FleetSpec:
    """A spec of the sound parts alone, for the rules that read no others."""
    parts: dict[str, Any] = {}
    for name in sound & values.keys():
        annotation: Any = FleetSpec.model_fields[name].annotation
        parts[name] = TypeAdapter(annotation).validate_python(values[name])
    return FleetSpec.model_construct(**parts)


def _new(found: Iterator[Fault], known: list[Fault]) -> list[Fault]:
    """Faults at places that are not reported yet: one message per place, the most basic one."""
    paths = {fault.path for fault in known if fault.path}
    return [fault for fault in found if fault.path not in paths]


def _problem(fault: Fault, document: Document, file: str) -> Problem:
    place = fault.place or document.find(fault.path).place
    return Problem(file, place.line, place.column, format_path(fault.path), fault.message)
