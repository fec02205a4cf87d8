"""Pulumi property values as plain Python values and back; secrets by the name of the property, unknowns as UNKNOWN."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import PropertyDiff, PropertyDiffKind
from pulumi.runtime import rpc

Properties = dict[str, Any]
"""Plain property values: str, bool, int, float, None, lists and dicts of them, or UNKNOWN."""


class _Unknown:
    """A value that a preview cannot know yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()

SECRET_KEYS = frozenset({"secrets", "password"})
"""Properties whose values are secret, at any depth, on the way in and on the way out."""


def to_plain(values: Mapping[str, PropertyValue]) -> Properties:
    """The engine's values as plain ones. Whole numbers become int: the wire knows only doubles."""
    return {key: _plain(value) for key, value in values.items() if not key.startswith("__")}


def from_plain(values: Properties) -> dict[str, PropertyValue]:
    """Plain values as the engine's, the SECRET_KEYS marked as secret."""
    return {key: _wrap_named(key, value) for key, value in values.items()}


def has_unknown(value: Any) -> bool:
    """Whether anything in `value` is not known yet."""
    if value is UNKNOWN:
        return True
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    return isinstance(value, list) and any(has_unknown(item) for item in value)


def detailed_diff(old: Properties, new: Properties, replacing: frozenset[str]) -> dict[str, PropertyDiff]:
    """Each place where the inputs differ, by its path such as `files["/etc/x"].text`.

    A change at a path of `replacing`, or anywhere below it, replaces the resource. Keys that only the old state has
    are outputs.
    """
    diffs: dict[str, PropertyDiff] = {}
    for key in new:
        for path, kind in _differences(key, old.get(key), new[key]):
            replaces = path in replacing or key in replacing
            diffs[path] = PropertyDiff(
                PropertyDiffKind[f"{kind.name}_REPLACE"] if replaces else kind, input_diff=True
            )
    return diffs


def _differences(path: str, old: Any, new: Any) -> list[tuple[str, PropertyDiffKind]]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: list[tuple[str, PropertyDiffKind]] = []
        for key in sorted({*old, *new}):
            below = f"{path}.{key}" if key.isidentifier() else f'{path}["{key}"]'
            found += _differences(below, old.get(key), new.get(key))
        return found
    if old is None:
        return [(path, PropertyDiffKind.ADD)]
    return [(path, PropertyDiffKind.DELETE if new is None else PropertyDiffKind.UPDATE)]


def _plain(value: PropertyValue) -> Any:
    inner = value.value
    if inner == rpc.UNKNOWN:  # on the wire an unknown is this text, and the SDK's own reading leaves it so
        return UNKNOWN
    if isinstance(inner, Mapping):
        return {key: _plain(item) for key, item in inner.items()}
    if isinstance(inner, Sequence) and not isinstance(inner, str):
        return [_plain(item) for item in inner]
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    return inner


def _wrap_named(key: str, value: Any) -> PropertyValue:
    if key in SECRET_KEYS:  # a secret's parts are no secrets of their own, whatever they are called
        return _wrap(value, _wrap_inside).with_secret(True)
    return _wrap(value, _wrap_named)


def _wrap_inside(key: str, value: Any) -> PropertyValue:
    del key
    return _wrap(value, _wrap_inside)


def _wrap(value: Any, wrap_item: Callable[[str, Any], PropertyValue]) -> PropertyValue:
    if value is UNKNOWN:
        return PropertyValue(rpc.UNKNOWN)
    if isinstance(value, Mapping):
        return PropertyValue({key: wrap_item(key, item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return PropertyValue([_wrap(item, wrap_item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)
