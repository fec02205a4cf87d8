"""What a step of the set-up is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.setup.commands import Commands


@dataclass(frozen=True)
class Places:
    """The folders that the steps read and write."""

    repo: Path
    cache: Path


class Step(Protocol):
    """One thing that is done once; `is_done` must be cheap, `run` must survive being cut off and started again."""

    @property
    def name(self) -> str:
        """What it makes ready, in the operator's words."""

    @property
    def why(self) -> str:
        """What happens meanwhile, and why it takes as long as it does."""

    @property
    def needs_bytes(self) -> int:
        """Free disk space that `run` needs in the cache."""

    def is_done(self) -> bool:
        """Whether there is nothing to do."""

    def run(self, commands: Commands) -> None:
        """Does it, or raises SetupError."""
