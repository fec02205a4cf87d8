"""Large folders that a script brings: engines and weights. The work runs as a systemd unit of its own, so that a
dropped connection or a killed controller does not stop it, and the next run waits for the same unit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from provisioning.converge.actual import MARKER
from provisioning.converge.machine import Machine
from provisioning.converge.record import ROOT
from provisioning.converge.secrets import fill
from provisioning.errors import CommandError, CommandTimeout
from provisioning.ssh import Connection
from provisioning.state import Artifact

REPOSITORY = Path(__file__).resolve().parents[2]
"""Where the `uploads` of an artifact are found."""

POLL_S = 2.0
_ABSENT, _RUNNING = "absent", "running"


def bring(machine: Machine, path: str, artifact: Artifact, secrets: Mapping[str, str]) -> None:
    """Bring the folder at `path` and mark it complete. Raises CommandError with the script's last lines."""
    shell = machine.shell
    unit = f"agentfleet-bring-{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    work = f"{ROOT}/work/{unit}"
    if _state(shell, unit, work)[0] == _ABSENT:
        _send(shell, work, artifact, secrets)
        shell.script(_START, unit, work, path, timeout_s=60)
    try:
        _wait(machine, unit, work, artifact)
        shell.put(f"{path}/{MARKER}", artifact.key.encode(), mode="0644", owner="root", group="root")
    finally:
        shell.script(_CLEAR, unit, work, ROOT, timeout_s=60)


def remove(shell: Connection, path: str) -> None:
    """Take the folder away; the marker first, so that a half-removed folder never counts as complete."""
    shell.script('rm -f -- "$1/$2"; rm -rf -- "$1"', path, MARKER, timeout_s=600)


def _wait(machine: Machine, unit: str, work: str, artifact: Artifact) -> None:
    deadline = time.monotonic() + artifact.timeout_s
    what = f"bringing {artifact.title}"
    while True:
        state, log = _state(machine.shell, unit, work)
        last_lines = log.strip()
        if state == "0":
            return
        if state == _ABSENT:
            last_lines += "\nthe machine was restarted in the middle"
        if state != _RUNNING:
            code = int(state) if state.isdigit() else None
            raise CommandError(machine.host, [], code, last_lines, what=what)
        if time.monotonic() > deadline:
            raise CommandTimeout(machine.host, [], artifact.timeout_s, last_lines, what=what)
        machine.progress(f"{artifact.title}: {last_lines.rpartition(chr(10))[2][:120] or 'working'}")
        time.sleep(POLL_S)


def _send(shell: Connection, work: str, artifact: Artifact, secrets: Mapping[str, str]) -> None:
    shell.script(
        '# making a work folder\nrm -rf -- "$1"; mkdir -p -- "$1"; chmod 0700 -- "$1"', work, timeout_s=60
    )
    for name, source in artifact.uploads.items():
        data = (REPOSITORY / source).read_bytes()
        shell.put(f"{work}/{name}", data, mode="0600", owner="root", group="root")
    script = fill(artifact.script, secrets).encode()
    shell.put(f"{work}/script.sh", script, mode="0600", owner="root", group="root")


def _state(shell: Connection, unit: str, work: str) -> tuple[str, str]:
    """_ABSENT, _RUNNING or the script's exit code; and the end of its log."""
    state, _, log = shell.script(_ASK, unit, work, timeout_s=30).stdout.partition("\n")
    return state.strip(), log


_START = """# starting to bring a folder
systemctl reset-failed -- "$1.service" 2>/dev/null || :
systemd-run --quiet --collect --unit="$1" --setenv=DESTINATION="$3" --setenv=WORK="$2" --setenv=HOME=/root \
    sh -c 'sh -eu "$WORK/script.sh" >"$WORK/log" 2>&1; echo $? >"$WORK/exit.new"; mv "$WORK/exit.new" "$WORK/exit"'
"""

_ASK = """# asking how far a folder is
if [ -f "$2/exit" ]; then cat "$2/exit"
elif systemctl is-active --quiet -- "$1.service"; then echo running
elif [ -f "$2/exit" ]; then cat "$2/exit"
else echo absent; fi
[ ! -f "$2/log" ] || tail -n 15 -- "$2/log" | tr '\\r' '\\n' | tail -n 15
"""

_CLEAR = """# tidying up after bringing a folder
systemctl stop -- "$1.service" 2>/dev/null || :
rm -rf -- "$2"
rmdir -- "$3/work" 2>/dev/null || :
"""
