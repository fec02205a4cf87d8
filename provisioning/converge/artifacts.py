"""Large folders that a script brings: engines and weights. The work runs as a systemd unit of its own, so that a
dropped connection or a killed controller does not stop it, and the next run waits for the same unit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioning.converge.machine import Machine
from provisioning.converge.record import ROOT
from provisioning.converge.secrets import complete_key, fill
from provisioning.errors import CommandError, CommandTimeout, Interrupted
from provisioning.ssh import Connection
from provisioning.state import Artifact

REPOSITORY = Path(__file__).resolve().parents[2]
"""Where the `uploads` of an artifact are found."""

POLL_S = 2.0
PROBLEM = "problem: "
_COMPLETE, _RUNNING, _ABSENT = "complete", "running", "absent"


def bring(machine: Machine, path: str, artifact: Artifact, secrets: Mapping[str, str]) -> None:
    """Bring the folder at `path`, which is marked complete at its end. Raises CommandError with the log's last lines.

    What an earlier run started is waited for, not started again.
    """
    job = _Job(path, complete_key(artifact, secrets))
    if _ask(machine.shell, job)[0] == _ABSENT:
        _send(machine.shell, job, artifact, secrets)
        machine.shell.script(_START, *job.words, timeout_s=60)
    try:
        _wait(machine, job, artifact)
    except (CommandError, Interrupted):
        machine.shell.script(_CLEAR, *job.words, timeout_s=60)
        raise


def remove(shell: Connection, path: str) -> None:
    """Take the folder away; the marker first, so that a half-removed folder never counts as complete."""
    shell.script(_REMOVE, *_Job(path, "").words, timeout_s=600)


@dataclass(frozen=True)
class _Job:
    """The unit that brings a folder, and where it works."""

    path: str
    key: str

    @property
    def words(self) -> tuple[str, str, str, str]:
        """What the scripts below know as $1 to $4: unit, work folder, destination and key."""
        unit = f"agentfleet-bring-{hashlib.sha256(self.path.encode()).hexdigest()[:12]}"
        return f"{unit}.service", f"{ROOT}/{unit}", self.path, self.key


def _send(shell: Connection, job: _Job, artifact: Artifact, secrets: Mapping[str, str]) -> None:
    work = job.words[1]
    shell.script('# making a work folder\nrm -rf -- "$1"; mkdir -p -m 0700 -- "$1"', work, timeout_s=60)
    for name, source in artifact.uploads.items():
        data = (REPOSITORY / source).read_bytes()
        shell.put(f"{work}/{name}", data, mode="0600", owner="root", group="root")
    script = fill(artifact.script, secrets).encode()
    shell.put(f"{work}/script.sh", script, mode="0600", owner="root", group="root")


def _wait(machine: Machine, job: _Job, artifact: Artifact) -> None:
    deadline = time.monotonic() + artifact.timeout_s
    what = f"bringing {artifact.title}"
    while True:
        state, last_lines = _ask(machine.shell, job)
        if state == _COMPLETE:
            return
        if state == _ABSENT:
            advice = "it was ended in the middle, by hand or by a restart of the machine: run again"
            raise CommandError(machine.host, [], None, what=what, advice=advice)
        if state != _RUNNING:
            code = int(state) if state.isdigit() else None
            raise CommandError(machine.host, [], code, verdict(last_lines), what=what)
        if time.monotonic() > deadline:
            raise CommandTimeout(machine.host, [], artifact.timeout_s, last_lines, what=what)
        if machine.stopped():
            raise Interrupted(machine.host, what)
        machine.progress(f"{artifact.title}: {last_lines.rpartition(chr(10))[2][:120] or 'working'}")
        time.sleep(POLL_S)


def verdict(log: str) -> str:
    """What the script says itself, where its log holds a line for that; else the whole."""
    said = [line.removeprefix(PROBLEM) for line in log.splitlines() if line.startswith(PROBLEM)]
    return said[-1] if said else log


def _ask(shell: Connection, job: _Job) -> tuple[str, str]:
    """_COMPLETE, _RUNNING, _ABSENT or the script's exit code; and the end of its log."""
    state, _, log = shell.script(_ASK, *job.words, timeout_s=30).stdout.partition("\n")
    return state.strip(), log.strip()


# The unit marks the folder itself: when the connection or the controller is gone by then, nothing is left to do.
_START = """# starting to bring a folder
systemctl reset-failed -- "$1" 2>/dev/null || :
systemd-run --quiet --collect --unit="$1" --description="agentfleet brings $3" \
    --setenv=WORK="$2" --setenv=DESTINATION="$3" --setenv=KEY="$4" \
    --setenv=HOME=/root sh -c '
        if sh -eu "$WORK/script.sh" >"$WORK/log" 2>&1; then
            printf %s "$KEY" >"$DESTINATION/.agentfleet-complete"
            rm -rf -- "$WORK"
        else
            echo $? >"$WORK/exit.new" && mv "$WORK/exit.new" "$WORK/exit"
        fi'
"""

_ASK = """# asking how far a folder is
running=no
! systemctl is-active --quiet -- "$1" || running=yes
if [ "$(cat "$3/.agentfleet-complete" 2>/dev/null || :)" = "$4" ]; then echo complete
elif [ -f "$2/exit" ]; then cat "$2/exit"
elif [ "$running" = yes ]; then echo running
else echo absent; fi
[ ! -f "$2/log" ] || tail -n 15 -- "$2/log" | tr '\\r' '\\n' | tail -n 15
"""

_CLEAR = """# stopping to bring a folder
systemctl stop -- "$1" 2>/dev/null || :
rm -rf -- "$2"
"""

_REMOVE = (
    _CLEAR
    + """
rm -f -- "$3/.agentfleet-complete"
rm -rf -- "$3"
"""
)
