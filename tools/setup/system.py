"""The system packages, and what must hold before anything is started."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tools.setup.commands import Commands, as_root
from tools.setup.errors import SetupError
from tools.setup.release import Release, distribution_python
from tools.setup.step import Step

LAB_PACKAGES = ("systemd-container", "mmdebstrap", "nftables", "openssh-client", "iproute2", "libnuma1")
PACKAGES = ("ca-certificates", "curl")
LOCK_TIMEOUT_S = 600
APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}


@dataclass(frozen=True)
class SystemPackages(Step):
    """Installs the packages that are missing, and only those."""

    release: Release
    wanted: tuple[str, ...]

    name = "system packages"
    why = "apt downloads and unpacks them; another apt at work is waited for"
    needs_bytes = 200 << 20
    needs_root = True

    def is_done(self) -> bool:
        """Nothing is missing."""
        return not self._missing()

    def run(self, commands: Commands) -> None:
        """Installs what is missing; mends a cut-off dpkg and stale lists once."""
        missing = self._missing()
        commands.console.say(f"    to be installed: {' '.join(missing)}")
        if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
            _apt(commands, ["update"])
        try:
            _apt(commands, [*_INSTALL, *missing])
        except SetupError as error:
            commands.console.say(f"    {error.sentence} Mending and trying once more.")
            commands.run_privileged(["dpkg", "--configure", "-a"], env=APT_ENVIRONMENT, inherit_lock=False)
            _apt(commands, ["update"])
            _apt(commands, [*_INSTALL, *missing])

    def _missing(self) -> list[str]:
        words = ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}${Package}\n", *self.wanted]
        try:
            answer = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError as error:
            raise SetupError("There is no dpkg here.", advice="run the set-up on Debian or Ubuntu") from error
        installed = {line[3:].strip() for line in answer.stdout.splitlines() if line.startswith("ii")}
        return [package for package in self.wanted if package not in installed]


def wanted_packages(release: Release, *, lab: bool) -> tuple[str, ...]:
    """What must be installed: for the lab also what makes nodes and runs the engine on the distribution's Python."""
    packages = list(PACKAGES)
    if find_spec("ensurepip") is None and sys.base_prefix == "/usr":  # Debian splits it off its Python
        packages.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    if lab:
        packages += [*LAB_PACKAGES, distribution_python(release).name]
    return tuple(packages)


def confirm_sudo(commands: Commands) -> None:
    """Lets sudo ask for its password now, in the open, and not in the middle of a progress line.

    Raises SetupError where this user is not root and cannot become it.
    """
    if as_root(["true"], {}) == ["true"]:
        return
    commands.console.say("    sudo may ask for your password")
    if subprocess.run(["sudo", "--validate"], check=False).returncode != 0:
        raise SetupError(
            "sudo did not let this user become root.", advice="ask for the right to use sudo, or run as root"
        )


def check_namespaces(commands: Commands) -> None:
    """Raises SetupError where the kernel or a container around us forbids what systemd-nspawn needs."""
    try:
        commands.run(
            as_root(["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true"], {})
        )
    except SetupError as error:
        raise SetupError(
            "Lab nodes cannot run here: this machine does not let root make namespaces, so systemd-nspawn would fail.",
            evidence=error.evidence,
            advice="use a whole or a virtual machine, or list machines of your own as SSH nodes",
        ) from error


def check_disk(folder: Path, needed_bytes: int) -> None:
    """Raises SetupError unless the file system that holds `folder`, made or not, has so much room."""
    existing = next(path for path in [folder, *folder.parents] if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes:
        raise SetupError(
            f"{folder} needs {needed_bytes / 2**30:.1f} GiB of free disk, and there are {free_bytes / 2**30:.1f} GiB.",
            advice="make room there, or set AGENTFLEET_CACHE to a folder on a larger disk",
        )


_INSTALL = ("install", "--yes", "--no-install-recommends")


def _apt(commands: Commands, words: Sequence[str]) -> None:
    # The lock of the set-up is not inherited: a package may start a daemon, which would hold it for ever.
    commands.run_privileged(
        ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}", *words],
        env=APT_ENVIRONMENT,
        advice="see whether `apt-get update` and `apt-get install` work by hand, and mend the apt sources",
        inherit_lock=False,
    )
