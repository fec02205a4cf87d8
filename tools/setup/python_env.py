"""uv, bootstrapped from the Python package index, and the project's virtual environment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.setup.cache import built_beside, key_of
from tools.setup.commands import Commands
from tools.setup.step import Places, Step

PYTHON_TAG = f"{sys.implementation.cache_tag}-{platform.machine()}"


@dataclass(frozen=True)
class Uv(Step):
    """Makes `<cache>/uv/<key>/bin/uv`: uv installs the same pinned, hashed set in a tenth of pip's time."""

    places: Places

    name = "uv"
    why = "one download of 25 MB"
    needs_bytes = 200 << 20

    def is_done(self) -> bool:
        """The pinned uv is in the cache."""
        return self.path.exists()

    def run(self, commands: Commands) -> None:
        """Installs uv with pip into an environment of its own."""
        with built_beside(self._home) as partial:
            advice = (
                "install the package python3-venv, or run the set-up with a Python that has the module venv"
            )
            commands.run([sys.executable, "-m", "venv", str(partial)], advice=advice)
            pip = [str(partial / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
            commands.run([*pip, "--require-hashes", "--no-deps", "-r", str(self._lock)])

    @property
    def path(self) -> Path:
        """The program; it needs no Python to run, so the folder that it came in may have been renamed."""
        return self._home / "bin" / "uv"

    def install(self, commands: Commands, python: Path, lock: Path, options: Sequence[str] = ()) -> None:
        """Makes the environment of `python` hold exactly what `lock` says, every file checked against its hash."""
        words = [
            str(self.path),
            "pip",
            "sync",
            "--require-hashes",
            *options,
            "--python",
            str(python),
            str(lock),
        ]
        commands.run(words, env=self.environment)

    def tool(self, commands: Commands, name: str, lock: Path) -> Path:
        """The `bin` folder of an environment that holds one pinned tool."""
        home = self.places.cache / "tools" / f"{name}-{key_of([PYTHON_TAG], [lock])}"
        if not home.is_dir():
            with built_beside(home) as partial:
                self.create(commands, partial, Path(sys.executable), ["--relocatable"])
                self.install(commands, partial / "bin" / "python", lock)
        return home / "bin"

    def create(self, commands: Commands, target: Path, python: Path, options: Sequence[str] = ()) -> None:
        """Makes an empty virtual environment."""
        words = [
            str(self.path),
            "venv",
            "--no-python-downloads",
            *options,
            "--python",
            str(python),
            str(target),
        ]
        commands.run(words, env=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """Downloads stay in the cache, on one file system with what is installed; the site's index is respected."""
        chosen = {"UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(self.places.cache / "uv-downloads")}
        if "UV_DEFAULT_INDEX" not in os.environ and (index := self._pip_index):
            chosen["UV_DEFAULT_INDEX"] = index
        return chosen

    @property
    def whole_environment(self) -> dict[str, str]:
        """The environment of this process with `environment` in it."""
        return {**os.environ, **self.environment}

    @cached_property
    def _pip_index(self) -> str:
        """The index that pip is configured for, which uv does not read; empty for the public one."""
        words = [str(self._home / "bin" / "python"), "-m", "pip", "config", "get", "global.index-url"]
        try:
            asked = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError:
            return os.environ.get("PIP_INDEX_URL", "")
        return os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()

    @property
    def _home(self) -> Path:
        return self.places.cache / "uv" / key_of([platform.machine()], [self._lock])

    @property
    def _lock(self) -> Path:
        return self.places.repo / "tools" / "setup" / "bootstrap.lock"


@dataclass(frozen=True)
class ProjectEnvironment(Step):
    """Makes `.venv` hold exactly requirements.lock and, editable, the project itself, so that `fleet` can be run.

    It is changed in place, because programs may be running from it; a stamp with the key is written last.
    """

    places: Places
    uv: Uv

    name = "Python environment"
    why = "about 60 packages from requirements.lock, checked against their hashes"
    needs_bytes = 1 << 30

    def is_done(self) -> bool:
        """The stamp holds today's key, and there is a Python to run."""
        return self._python.exists() and self._stamp.exists() and self._stamp.read_text() == self._key

    def run(self, commands: Commands) -> None:
        """Brings `.venv` to the lock, then the project into it."""
        if not self._is_sound():
            self.uv.create(
                commands, self._home, Path(sys.executable), ["--allow-existing", "--prompt", "agentfleet"]
            )
        self._stamp.unlink(missing_ok=True)
        self.uv.install(
            commands, self._python, self.places.repo / "requirements.lock", ["--compile-bytecode"]
        )
        build = ["--build-constraints", str(self.places.repo / "tools" / "setup" / "build.lock")]
        words = [str(self.uv.path), "pip", "install", "--no-deps", *build, "--python", str(self._python)]
        commands.run([*words, "--editable", str(self.places.repo)], env=self.uv.environment)
        self._stamp.write_text(self._key)

    def _is_sound(self) -> bool:
        """Whether the environment's Python starts and is of the same version as ours."""
        probe = "import sys; print(sys.implementation.cache_tag)"
        try:
            answer = subprocess.run([self._python, "-c", probe], capture_output=True, text=True, check=False)
        except OSError:
            return False
        return answer.stdout.strip() == sys.implementation.cache_tag

    @property
    def _home(self) -> Path:
        return self.places.repo / ".venv"

    @property
    def _python(self) -> Path:
        return self._home / "bin" / "python"

    @property
    def _stamp(self) -> Path:
        return self._home / ".agentfleet-complete"

    @property
    def _key(self) -> str:
        pins = [self.places.repo / name for name in ("requirements.lock", "pyproject.toml")]
        return key_of([PYTHON_TAG, str(self.places.repo)], pins)
