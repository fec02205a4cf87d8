"""tools/leftovers on this computer and on nodes: what a deployment left, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.shell import Shell
from support.traces import ROOT

LEFTOVERS = ROOT / "tools" / "leftovers"


def snapshot_here(file: Path) -> Path:
    """What this computer holds."""
    file.write_text(
        subprocess.run([LEFTOVERS, "snapshot"], stdout=subprocess.PIPE, text=True, check=True).stdout
    )
    return file


def snapshot_of(machine: Shell, file: Path) -> Path:
    """What the machine holds, once it has started all that it starts."""
    machine.run("systemctl is-system-running --wait >/dev/null || true")
    file.write_text(machine.run("python3 - snapshot --node", stdin=LEFTOVERS.read_text()))
    return file


def differences(before: Path, after: Path, *ignored: str) -> list[str]:
    """A line for each thing that is in one only or differs, but for the patterns of `ignored`."""
    words = [str(LEFTOVERS), "compare", *(f"--ignore={one}" for one in ignored), str(before), str(after)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (int(bool(lines)), "")
    return lines
