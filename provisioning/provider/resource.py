"""What every resource type of the provider answers. Methods block; the provider runs them in threads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from provisioning.converge.ring import Rings
from provisioning.provider.machines import Machines
from provisioning.provider.values import Properties


@dataclass(frozen=True)
class Failure:
    """One thing wrong with a resource's inputs."""

    property: str
    reason: str


@dataclass(frozen=True)
class Context:
    """What an operation may use: connections, turns in rings, a line of progress, a warning, and whether to stop."""

    machines: Machines
    rings: Rings
    progress: Callable[[str], None]
    warn: Callable[[str], None]
    stopped: Callable[[], bool]


class CreatedButFailed(Exception):
    """The resource is there but not as it should be: it belongs in the state, with this reason."""

    def __init__(self, reason: str, properties: Properties) -> None:
        self.reason = reason
        self.properties = properties
        super().__init__(reason)


class Resource(ABC):
    """One resource type. `replaced_by` names the inputs whose change needs a new one."""

    replaced_by: frozenset[str] = frozenset()

    @abstractmethod
    def identify(self, inputs: Properties) -> str:
        """The resource's id."""

    @abstractmethod
    def check(self, inputs: Properties) -> list[Failure]:
        """Everything wrong with the inputs, of which some may be UNKNOWN."""

    @abstractmethod
    def foresee(self, inputs: Properties, old: Properties) -> Properties:
        """The properties after a create or update, as far as a preview can know them."""

    @abstractmethod
    def create(self, inputs: Properties, context: Context) -> Properties:
        """Make it; its properties. Raises CreatedButFailed when it is there but not well."""

    @abstractmethod
    def read(self, old: Properties, context: Context) -> Properties | None:
        """The properties as they really are, None when it is gone."""

    @abstractmethod
    def update(self, old: Properties, inputs: Properties, context: Context) -> Properties:
        """Change it in place; its properties. Raises CreatedButFailed when it holds the new inputs but is not well."""

    @abstractmethod
    def delete(self, old: Properties, context: Context) -> None:
        """Take it away, and nothing that was there before it."""
