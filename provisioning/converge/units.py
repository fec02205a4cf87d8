"""systemd units: the verbs, in the order that leaves no orphan behind, and the engine's own last words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provisioning.converge.changes import Changes
from provisioning.ssh import Connection

STOP_WAIT_S = 3900
"""Longer than any TimeoutStopSec that a unit may ask for, 3630 s: systemd's own limit is the one that counts."""


def daemon_reload(shell: Connection) -> None:
    """Let systemd read the unit files again."""
    shell.run(["systemctl", "daemon-reload"])


def apply(shell: Connection, changes: Changes) -> None:
    """Enable, disable, stop, start, restart and reload what the changes name."""
    for verb in ("enable", "disable", "stop"):
        _systemctl(shell, verb, getattr(changes, verb))
    if changes.start or changes.restart:
        _systemctl(shell, "reset-failed", (*changes.start, *changes.restart), check=False)
    for verb in ("start", "restart", "reload"):
        _systemctl(shell, verb, getattr(changes, verb))


def retire(shell: Connection, units: Sequence[str]) -> None:
    """Stop and disable units and remove their state and cache folders, while systemd still knows their files."""
    if units:
        shell.script(_RETIRE, *units, timeout_s=STOP_WAIT_S)


def forget(shell: Connection, units: Sequence[str]) -> None:
    """After the files are gone: let systemd drop the units, failed states included."""
    daemon_reload(shell)
    _systemctl(shell, "reset-failed", units, check=False)


def last_lines(shell: Connection, unit: str, invocation: str = "", lines: int = 20) -> str:
    """The end of what the unit itself printed in its newest (or the given) run."""
    return shell.script(_JOURNAL, unit, invocation, str(lines), timeout_s=30).stdout.strip()


def invocations(shell: Connection, units: Iterable[str]) -> dict[str, str]:
    """The identity of each unit's present run."""
    script = (
        'for u in "$@"; do printf "%s\\t%s\\n" "$u" "$(systemctl show --value -p InvocationID -- "$u")"; done'
    )
    names = list(units)
    if not names:
        return {}
    pairs = (line.split("\t") for line in shell.script(script, *names, timeout_s=30).stdout.splitlines())
    return {pair[0]: pair[1] for pair in pairs}


def _systemctl(shell: Connection, verb: str, units: Sequence[str], *, check: bool = True) -> None:
    if units:
        shell.run(["systemctl", verb, "--quiet", "--", *units], timeout_s=STOP_WAIT_S, check=check)


_RETIRE = """# stopping units
drop_empty() {
    (cd "$1" && rmdir -p -- "$2" 2>/dev/null) || :
    (cd "$1/private" 2>/dev/null && rmdir -p -- "$2" 2>/dev/null) || :
}
for unit in "$@"; do
    systemctl disable --now --quiet -- "$unit" 2>/dev/null || systemctl stop -- "$unit" 2>/dev/null || :
    folders=$(systemctl show --value -p StateDirectory -- "$unit")
    caches=$(systemctl show --value -p CacheDirectory -- "$unit")
    systemctl clean --what=state --what=cache --what=logs --what=runtime -- "$unit" 2>/dev/null || :
    # systemd makes the folders above them too, and leaves them.
    for folder in $folders; do drop_empty /var/lib "$(dirname "$folder")"; done
    for folder in $caches; do drop_empty /var/cache "$(dirname "$folder")"; done
done
"""

_JOURNAL = """# reading the journal
invocation=$2
[ -n "$invocation" ] || invocation=$(systemctl show --value -p InvocationID -- "$1")
journalctl --quiet --no-pager --output=cat --lines="$3" "_SYSTEMD_INVOCATION_ID=$invocation" 2>/dev/null || :
"""
