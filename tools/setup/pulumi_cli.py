"""The Pulumi CLI: the operator's own, else the official installer's, else built from pinned Go modules."""

from __future__ import annotations

import platform
import shutil
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.setup.cache import built_beside, key_of, point, points_to
from tools.setup.commands import Commands
from tools.setup.errors import SetupError
from tools.setup.go_modules import find_go, numbers, pinned
from tools.setup.python_env import Uv
from tools.setup.step import Places, Step

INSTALLER_URL = "https://get.pulumi.com"
INSTALLER_TIMEOUT_S = 6.0
CLI_MODULE = "github.com/pulumi/pulumi/pkg/v3"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
LANGUAGE_PACKAGE = "github.com/pulumi/pulumi/sdk/python/cmd/pulumi-language-python/v3"
SDK_FILES = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
"""Scripts that the CLI looks for beside itself, from the folder of the Go SDK module."""


@dataclass(frozen=True)
class PulumiCli(Step):
    """Makes `<cache>/pulumi/<version>-<key>/bin` hold the CLI and its Python language host.

    A `pulumi` on PATH that is at least as new as the pinned one is used as it is, and nothing is built.
    """

    places: Places
    uv: Uv

    name = "Pulumi CLI"
    why = "downloaded if the official installer answers, else built from Go modules (3 to 5 minutes on two cores)"
    needs_bytes = 4 << 30  # module cache 1.3 GiB and build cache 1.4 GiB, measured

    def is_done(self) -> bool:
        """There is a CLI of the pinned version in the cache, or a good one on PATH."""
        return points_to(self.places.cache, "pulumi", self.home) or self._own_is_enough()

    def run(self, commands: Commands) -> None:
        """Installs or builds the CLI."""
        if not self.home.is_dir():
            with built_beside(self.home) as partial:
                if not self._install_official(commands, partial):
                    shutil.rmtree(partial, ignore_errors=True)
                    self._build(commands, partial / "bin")
        point(self.places.cache, "pulumi", self.home)

    @property
    def home(self) -> Path:
        """The complete installation, whether it exists or not."""
        return self.places.cache / "pulumi" / f"{self.version}-{self._key}"

    @cached_property
    def version(self) -> str:
        """The pinned version without its `v`, read from the module file."""
        return pinned(self._cli / "go.mod", CLI_MODULE).removeprefix("v")

    @property
    def _pins(self) -> Path:
        return self.places.repo / "tools" / "pulumi"

    @property
    def _cli(self) -> Path:
        return self._pins / "cli"

    @property
    def _language(self) -> Path:
        """A module of its own: the language host is older, and its versions must not mix with the CLI's."""
        return self._pins / "language"

    @cached_property
    def _key(self) -> str:
        pins = [folder / name for folder in (self._cli, self._language) for name in ("go.mod", "go.sum")]
        return key_of(["pulumi", platform.machine()], pins)

    def _own_is_enough(self) -> bool:
        """Whether PATH has a CLI, with the Python language host, that is not older than the pinned one."""
        own = shutil.which("pulumi")
        if own is None or shutil.which("pulumi-language-python") is None:
            return False
        answer = subprocess.run([own, "version"], capture_output=True, text=True, check=False)
        return numbers(answer.stdout) >= numbers(self.version)

    def _install_official(self, commands: Commands, target: Path) -> bool:
        """Runs Pulumi's installer for the pinned version; False if it does not answer at once or does not work."""
        try:
            with urllib.request.urlopen(INSTALLER_URL, timeout=INSTALLER_TIMEOUT_S) as answer:
                script = answer.read()
        except (urllib.error.URLError, OSError):
            commands.console.say(
                "    the official installer does not answer: building from Go modules instead"
            )
            return False
        target.mkdir()
        installer = target / "install.sh"
        installer.write_bytes(script)
        options = ["--version", self.version, "--install-root", str(target), "--no-edit-path"]
        try:
            commands.run(["sh", str(installer), *options])
            found = commands.run([str(target / "bin" / "pulumi"), "version"])
        except SetupError as error:
            commands.console.say(f"    {error.sentence} Building from Go modules instead.")
            return False
        installer.unlink()
        return (
            numbers(found) == numbers(self.version) and (target / "bin" / "pulumi-language-python").exists()
        )

    def _build(self, commands: Commands, target: Path) -> None:
        go = find_go(commands, self.uv, [self._cli, self._language], self._pins / "go.lock")
        stamp = f"-s -w -X {SDK_MODULE}/go/common/version.Version=v{self.version}"
        go.build(self._cli, f"{CLI_MODULE}/cmd/pulumi", target / "pulumi", flags=stamp)
        go.build(self._language, LANGUAGE_PACKAGE, target / "pulumi-language-python", flags="-s -w")
        sdk = go.folder_of(self._cli, SDK_MODULE)
        for file in SDK_FILES:
            copy = target / Path(file).name
            shutil.copyfile(sdk / file, copy)
            copy.chmod(0o755)
