"""Typed reading of a config.json: a missing or odd value is a SizingError with the key's full name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra.errors import SizingError

_MISSING = object()


class Config:
    """One level of a config.json; keys of a nested level are named with their path (`text_config.hidden_size`).

    JSON null counts as absent, as in the configuration classes that write these files. Every key that is asked
    for is remembered, so that what nobody asked for can be looked at afterwards (infra.memory.rules).
    """

    def __init__(self, facts: Mapping[str, Any], path: str = "", read: set[str] | None = None) -> None:
        self.facts = facts
        self._path = path
        self.read: set[str] = set() if read is None else read

    def count(
        self, key: str, default: int | object = _MISSING, *, minimum: int = 1, maximum: int = 10**9
    ) -> int:
        """A whole number of at least `minimum`, and no larger than any real model's."""
        value = self._get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise self.error(key, f"must be a whole number of at least {minimum}, not {_shown(value)}")
        if value > maximum:
            raise self.error(key, f"{value} is larger than {maximum}, the most that is believed")
        return value

    def layers(self, key: str, *, minimum: int = 1) -> int:
        """A number of layers."""
        return self.count(key, minimum=minimum, maximum=10_000)

    def number(self, key: str, default: float | object = _MISSING) -> float:
        """A positive number."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.error(key, f"must be a positive number, not {_shown(value)}")
        return float(value)

    def flag(self, key: str, default: bool | object = _MISSING) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {_shown(value)}")
        return value

    def word(self, key: str, default: str | object = _MISSING) -> str:
        """A string."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.error(key, f"must be a word, not {_shown(value)}")
        return value

    def words(self, key: str, default: Sequence[str] | object = _MISSING) -> tuple[str, ...]:
        """A list of strings."""
        value = self._get(key, default)
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(w, str) for w in value)
        ):
            raise self.error(key, f"must be a list of words, not {_shown(value)}")
        return tuple(value)

    def counts(self, key: str, default: Sequence[int] | object = _MISSING) -> tuple[int, ...]:
        """A list of whole numbers, 0 included."""
        value = self._get(key, default)
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value)
        ):
            raise self.error(key, f"must be a list of whole numbers, not {_shown(value)}")
        return tuple(value)

    def per_layer(self, key: str, layers: int, known: Sequence[str]) -> tuple[str, ...]:
        """A list with one of the `known` words for each layer."""
        words = self.words(key)
        if len(words) != layers:
            raise self.error(key, f"names {len(words)} layers where the model has {layers}")
        for word in words:
            if word not in known:
                raise self.error(
                    key, f"{word!r} is no kind of layer that the memory model knows ({', '.join(known)})"
                )
        return words

    def section(self, key: str) -> Config:
        """The nested level under `key`; an error where there is none."""
        value = self._get(key)
        if not isinstance(value, Mapping):
            raise self.error(key, f"must be an object, not {_shown(value)}")
        return Config(value, self.name(key) + ".", self.read)

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        self.read.add(self.name(key))
        return self.facts.get(key) is not None

    def states(self, key: str) -> bool:
        """Whether the key has a value; an error where it is absent, because that would mean some default."""
        if key not in self.facts:
            raise self.error(key, "is missing from the config")
        return self.has(key)

    def stated_count(self, key: str) -> int:
        """A whole number that must be there; null and 0 both mean none."""
        return self.count(key, minimum=0) if self.states(key) else 0

    def name(self, key: str) -> str:
        """The key with its path."""
        return self._path + key

    def error(self, key: str, message: str) -> SizingError:
        """A SizingError that names this key."""
        return SizingError(self.name(key), message)

    def _get(self, key: str, default: Any = _MISSING) -> Any:
        self.read.add(self.name(key))
        value = self.facts.get(key)
        if value is not None:
            return value
        if default is _MISSING:
            raise self.error(key, "is missing from the config")
        return default


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
