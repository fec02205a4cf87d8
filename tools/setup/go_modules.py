"""Builds programs from Go modules whose go.mod and go.sum are committed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.setup.commands import Commands
from tools.setup.errors import SetupError
from tools.setup.python_env import Uv

ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
"""The committed files decide alone, and no other toolchain is downloaded."""

ADVICE = (
    "see whether the Go module proxy serves the versions that tools/pulumi pins, or install Pulumi by hand"
)


@dataclass(frozen=True)
class Go:
    """A Go toolchain at work."""

    program: str
    commands: Commands
    caches: Mapping[str, str] = field(default_factory=dict)
    """Where downloads and builds are kept, as variables of Go; empty for the operator's own places."""

    def build(self, module: Path, package: str, output: Path, *, flags: str) -> None:
        """Builds `package` with the versions of the module in folder `module`; `flags` are for the linker."""
        words = [self.program, "build", "-trimpath", "-ldflags", flags, "-o", str(output), package]
        self.commands.run(["nice", *words], cwd=module, env=self._environment, advice=ADVICE)

    def folder_of(self, module: Path, name: str) -> Path:
        """Where the module `name`, of which `module` pins the version, has been unpacked."""
        words = [self.program, "list", "-m", "-f", "{{.Dir}}", name]
        return Path(
            self.commands.run(words, cwd=module, env=self._environment, advice=ADVICE)
            .strip()
            .splitlines()[-1]
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, **self.caches}


def find_go(commands: Commands, uv: Uv, modules: Sequence[Path], lock: Path) -> Go:
    """Go from PATH if it is new enough for all `modules`, else the toolchain that `lock` pins in the Python index."""
    least = max(numbers(pinned(module / "go.mod", "go")) for module in modules)
    own = shutil.which("go")
    if own and numbers(commands.run([own, "env", "GOVERSION"], env=ENVIRONMENT)) >= least:
        return Go(own, commands)
    # Who has no Go should not find its caches at home later: they go with the rest of our cache.
    caches = {"GOPATH": str(uv.places.cache / "go"), "GOCACHE": str(uv.places.cache / "go" / "build")}
    return Go(str(uv.tool(commands, "go", lock) / "go"), commands, caches)


def numbers(text: str) -> tuple[int, ...]:
    """The first dotted version in a text, as `(3, 259, 0)`; without one empty, which is less than any."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def pinned(module_file: Path, name: str) -> str:
    """The version after `name` in a go.mod."""
    found = re.search(rf"^\s*{re.escape(name)} (v?[\d.]+)", module_file.read_text(), re.MULTILINE)
    if found is None:
        raise SetupError(
            f"{module_file} does not pin {name}.", advice="restore the file from version control"
        )
    return found.group(1)
