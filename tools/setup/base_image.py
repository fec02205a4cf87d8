"""The lab's base image: a small system of this computer's own release, which all lab nodes share."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.setup.apt_sources import Archive, own_archives
from tools.setup.cache import key_of, partial_of, point, points_to
from tools.setup.commands import Commands
from tools.setup.errors import SetupError
from tools.setup.release import Release, distribution_python
from tools.setup.step import Places, Step

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "nftables", "sudo", "procps"),
    *("ca-certificates", "curl", "python3", "python3-venv", "libgomp1", "libnuma1"),
)
HOOKS = (
    # Every node makes its own host keys, so that pinning them is tested for real.
    'rm -f "$1"/etc/ssh/ssh_host_*',
    # The computer's own name and resolver; a node gets its own when it starts.
    'rm -f "$1"/etc/hostname "$1"/etc/resolv.conf',
)
KEPT_APT_OPTIONS = re.compile(
    r"Acquire::(https?::(Proxy|Verify-Peer|Verify-Host|CaInfo)\b|Check-(Valid-Until|Date)\b|Retries\b|ForceIPv[46]\b)"
)


@dataclass(frozen=True)
class BaseImage(Step):
    """Makes `<cache>/images/<codename>-<key>`, a root file system without host keys.

    It comes from the archives that this computer itself is installed from.
    """

    places: Places
    release: Release

    name = "lab base image"
    why = "mmdebstrap downloads and unpacks a small system (300 MB, about half a minute)"
    needs_bytes = 1 << 30
    needs_root = True
    needs_namespaces = True

    def is_done(self) -> bool:
        """The image of today's key is complete and current."""
        return points_to(self.places.cache, "base-image", self.home)

    def run(self, commands: Commands) -> None:
        """Builds the image, as root."""
        if not self.home.is_dir():
            self._build(commands)
        point(self.places.cache, "base-image", self.home)

    @property
    def home(self) -> Path:
        """The complete image, whether it exists or not."""
        return self.places.cache / "images" / f"{self.release.codename}-{self._key}"

    def _build(self, commands: Commands) -> None:
        if not self._archives:
            raise SetupError(
                f"The apt sources of this computer name no archive of {self.release.codename}, so no node can be made.",
                advice="add the distribution's archive to /etc/apt/sources.list.d and run `apt-get update`",
            )
        # Not built_beside: the half-done image belongs to root, and this user may only have sudo.
        partial = partial_of(self.home)
        self.home.parent.mkdir(parents=True, exist_ok=True)
        commands.run_privileged(["rm", "-rf", "--one-file-system", "--", str(partial)])
        # In a mount namespace of its own: what a killed mmdebstrap leaves mounted in the image is gone with it.
        commands.run_privileged(
            ["unshare", "--mount", "--", *self._words(partial)],
            advice="see whether `apt-get update` works here; the image comes from the same archives",
        )
        partial.rename(self.home)

    def _words(self, target: Path) -> list[str]:
        options = [f"--aptopt={line}" for line in self._apt_options]
        options += [f"--customize-hook={hook}" for hook in HOOKS]
        include = f"--include={','.join(self._packages)}"
        archives = [str(archive) for archive in self._archives]
        return [
            "mmdebstrap",
            "--variant=minbase",
            include,
            *options,
            self.release.codename,
            str(target),
            *archives,
        ]

    @property
    def _packages(self) -> list[str]:
        return list(dict.fromkeys([*PACKAGES, distribution_python(self.release).name]))

    @cached_property
    def _archives(self) -> list[Archive]:
        apt = Path("/etc/apt")
        one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
        deb822 = sorted((apt / "sources.list.d").glob("*.sources"))
        return own_archives(_texts(one_line), _texts(deb822), self.release.codename)

    @cached_property
    def _apt_options(self) -> list[str]:
        """How this computer reaches its archives: proxies, certificates, and checks that its clock does not allow."""
        words = ["apt-config", "dump", "--no-empty", "--format", '%f "%v";%n', "Acquire"]
        dump = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        return [line for line in dump.splitlines() if KEPT_APT_OPTIONS.match(line)]

    @cached_property
    def _key(self) -> str:
        return key_of([*self._words(Path()), *HOOKS])


def _texts(files: list[Path]) -> list[str]:
    return [file.read_text(errors="replace") for file in files if file.is_file()]
