"""What a step of the set-up is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tools.setup.commands import Commands


@dataclass(frozen=True)
class Places:
    """The folders that the steps read and write."""

    repo: Path
    cache: Path


class Step(ABC):
    """One thing that is done once; `is_done` must be cheap, `run` must survive being cut off and started again."""

    name: ClassVar[str]
    """What it makes ready, in the operator's words."""

    why: ClassVar[str]
    """What happens meanwhile, and why it takes as long as it does."""

    needs_bytes: ClassVar[int]
    """Free disk space that `run` needs in the cache."""

    needs_root: ClassVar[bool] = False
    needs_namespaces: ClassVar[bool] = False

    @abstractmethod
    def is_done(self) -> bool:
        """Whether there is nothing to do."""

    @abstractmethod
    def run(self, commands: Commands) -> None:
        """Does it, or raises SetupError."""
