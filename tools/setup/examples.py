"""The environment of the examples: LangGraph, CrewAI and what they need, far from the project's own packages."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.setup.cache import built_beside, key_of, point, points_to
from tools.setup.commands import Commands
from tools.setup.python_env import PYTHON_TAG, Uv
from tools.setup.step import Places, Step


@dataclass(frozen=True)
class ExampleEnvironment(Step):
    """Makes `<cache>/examples/<key>`, a virtual environment that holds exactly examples/requirements.lock.

    The examples themselves and the package for agents are run from the tree (`python -m`, in its root).
    """

    places: Places
    uv: Uv

    name = "examples' environment"
    why = "LangGraph and CrewAI: about 145 packages, 520 MB on disk, checked against their hashes"
    needs_bytes = 1 << 30

    def is_done(self) -> bool:
        """The environment of today's lock is complete and current."""
        return points_to(self.places.cache, "examples", self.home)

    def run(self, commands: Commands) -> None:
        """Installs and compiles the lock."""
        if not self.home.is_dir():
            with built_beside(self.home) as partial:
                self.uv.create(commands, partial, Path(sys.executable), ["--relocatable"])
                self.uv.install(commands, partial / "bin" / "python", self._lock, ["--compile-bytecode"])
        point(self.places.cache, "examples", self.home)

    @property
    def home(self) -> Path:
        """The complete environment, whether it exists or not."""
        return self.places.cache / "examples" / self._key

    @property
    def _lock(self) -> Path:
        return self.places.repo / "examples" / "requirements.lock"

    @cached_property
    def _key(self) -> str:
        return key_of([PYTHON_TAG], [self._lock])
