"""Which keys a spec may hold where: what a message about an unknown or missing key needs to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import get_args

from pydantic.fields import FieldInfo

from infra.spec.document import Path
from infra.spec.fleet import FleetSpec
from infra.spec.part import Part


def fields_at(path: Path) -> Mapping[str, FieldInfo]:
    """The keys that the mapping at `path` may hold; none where the operator names the keys."""
    part: type[Part] | None = FleetSpec
    named = False
    for key in path:
        if named or isinstance(key, int):  # a pool's name or a host's index: its part is known already
            named = False
            continue
        info = _fields(part).get(str(key)) if part else None
        if info is None:
            return {}
        part = _part_in(info.annotation)
        named = _is_mapping(info.annotation)
    return {} if named else _fields(part)


def homes_of(key: str) -> tuple[str, ...]:
    """The parts of a spec that have `key`: `workload`, `pools.<name>`."""
    return tuple(home for home, fields in _all_parts(FleetSpec, "") if home and key in fields)


@cache
def _fields(part: type[Part] | None) -> Mapping[str, FieldInfo]:
    if part is None:
        return {}
    return {info.alias or name: info for name, info in part.model_fields.items()}


def _all_parts(part: type[Part], home: str) -> Iterator[tuple[str, Mapping[str, FieldInfo]]]:
    yield home, _fields(part)
    for key, info in _fields(part).items():
        inner = _part_in(info.annotation)
        if inner is not None:
            place = f"{home}.{key}".removeprefix(".")
            yield from _all_parts(inner, f"{place}.<name>" if _is_mapping(info.annotation) else place)


def _part_in(annotation: object) -> type[Part] | None:
    """The Part inside an annotation such as `Lab | None`, `tuple[HostSpec, ...]` or `Mapping[str, Pool]`."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    found = (_part_in(argument) for argument in get_args(annotation))
    return next((part for part in found if part is not None), None)


def _is_mapping(annotation: object) -> bool:
    return getattr(annotation, "__origin__", None) is Mapping
