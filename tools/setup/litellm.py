"""LiteLLM's environment, for lab nodes whose gateway it is."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra.catalog.programs import LITELLM, LITELLM_VERSION, program_lock
from tools.setup.cache import built_beside, key_of, point, points_to
from tools.setup.commands import Commands
from tools.setup.python_env import Uv
from tools.setup.release import Release, distribution_python
from tools.setup.step import Places, Step


@dataclass(frozen=True)
class LiteLlmEnvironment(Step):
    """Makes `<cache>/litellm/<version>-<key>`, a virtual environment on the distribution's own Python.

    Lab nodes of the same release see it read-only, so it is compiled in advance and readable by every user.
    """

    places: Places
    release: Release
    uv: Uv

    name = "LiteLLM's environment"
    why = "about 100 packages, 470 MB on disk, checked against their hashes"
    needs_bytes = 1 << 30

    def is_done(self) -> bool:
        """The environment of today's lock is complete and current."""
        return points_to(self.places.cache, LITELLM, self.home)

    def run(self, commands: Commands) -> None:
        """Installs and compiles the lock."""
        if not self.home.is_dir():
            with built_beside(self.home) as partial:
                self.uv.create(commands, partial, self._base_python, ["--relocatable"])
                options = ["--no-build", "--compile-bytecode"]
                self.uv.install(commands, partial / "bin" / "python", self._lock, options)
                commands.run(["chmod", "--recursive", "a+rX", str(partial)])
        point(self.places.cache, LITELLM, self.home)

    @property
    def home(self) -> Path:
        """The complete environment, whether it exists or not."""
        return self.places.cache / LITELLM / f"{LITELLM_VERSION}-{self._key}"

    @property
    def _lock(self) -> Path:
        return program_lock(LITELLM, LITELLM_VERSION)

    @property
    def _base_python(self) -> Path:
        return distribution_python(self.release)

    @cached_property
    def _key(self) -> str:
        words = [LITELLM, platform.machine(), self.release.codename, str(self._base_python)]
        return key_of(words, [self._lock])
