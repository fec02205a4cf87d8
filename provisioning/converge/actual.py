"""What really stands on a machine, as far as one service is concerned; read in one round trip."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from provisioning.ssh import Connection
from provisioning.state import ServiceState


@dataclass(frozen=True)
class ActualFile:
    """A regular file as found."""

    text: str
    mode: str
    owner: str
    group: str


@dataclass(frozen=True)
class ActualUnit:
    """A systemd unit as found. `invocation` changes with every start, so it tells whether someone restarted it.

    One whose proof fails is not active, whatever its `state` says.
    """

    enabled: bool = False
    active: bool = False
    failed: bool = False
    state: str = "not found"
    invocation: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class Actual:
    """Everything found. `files` holds the wanted paths that exist and every other file of the service's folders."""

    files: Mapping[str, ActualFile] = field(default_factory=dict)
    units: Mapping[str, ActualUnit] = field(default_factory=dict)
    packages: frozenset[str] = frozenset()
    artifacts: Mapping[str, str] = field(default_factory=dict)


def read_actual(shell: Connection, expected: ServiceState, also_units: Iterable[str] = ()) -> Actual:
    """Read what `expected` speaks of, and `also_units` that an earlier version of the service had.

    Raises CommandError or HostError.
    """
    questions = [
        *(f"file:{path}" for path in sorted(expected.files)),
        *(f"folder:{path}" for path in folders(expected)),
        *(f"unit:{name}" for name in sorted({*expected.units, *also_units})),
        *(
            f"proof:{name} {shlex.join(unit.proof)}"
            for name, unit in sorted(expected.units.items())
            if unit.proof
        ),
        *(f"package:{name}" for name in sorted(expected.packages)),
        *(f"artifact:{path}" for path in sorted(expected.artifacts)),
    ]
    return parse_actual(shell.script(_SCRIPT, *questions, timeout_s=60).stdout) if questions else Actual()


def folders(expected: ServiceState) -> list[str]:
    """The folders that belong to the service alone; a unit's drop-in folder is one of them."""
    drop_ins = {f"{path}.d" for path in expected.files if path.rsplit("/", 1)[-1] in expected.units}
    return sorted({*expected.directories, *drop_ins})


def parse_actual(answer: str) -> Actual:
    """Parse the script's answer: one tab-separated line per thing found."""
    files: dict[str, ActualFile] = {}
    units: dict[str, ActualUnit] = {}
    packages: set[str] = set()
    artifacts: dict[str, str] = {}
    for line in answer.splitlines():
        kind, name, *rest = line.split("\t")
        if kind == "file":
            mode, owner, group, content = rest
            text = base64.b64decode(content).decode("utf-8", "replace")
            files[name] = ActualFile(text, f"{int(mode, 8):04o}", owner, group)
        elif kind == "unit":
            units[name] = _parse_unit(rest)
        elif kind == "disproved":
            units[name] = replace(units[name], active=False)
        elif kind == "package":
            packages.add(name)
        elif kind == "artifact":
            artifacts[name] = rest[0]
    return Actual(files, units, frozenset(packages), artifacts)


def _parse_unit(properties: list[str]) -> ActualUnit:
    shown = dict(item.split("=", 1) for item in properties if "=" in item)
    if shown.get("LoadState") == "not-found":
        return ActualUnit()
    active = shown.get("ActiveState", "")
    return ActualUnit(
        enabled=shown.get("UnitFileState") in {"enabled", "enabled-runtime", "static", "alias"},
        active=active in {"active", "reloading"},
        failed=active == "failed" or shown.get("SubState") == "auto-restart",
        state=f"{active} ({shown.get('SubState', '')})",
        invocation=shown.get("InvocationID", ""),
        restarts=int(shown.get("NRestarts") or 0),
    )


_SCRIPT = r"""# reading what stands there
show_file() {
    [ -f "$1" ] && [ ! -L "$1" ] || return 0
    printf 'file\t%s\t%s\t' "$1" "$(stat -c '%a	%U	%G' -- "$1")"
    base64 -w0 -- "$1"
    echo
}
for question in "$@"; do
    name=${question#*:}
    case $question in
    file:*) show_file "$name" ;;
    folder:*)
        [ -d "$name" ] || continue
        find "$name" -xdev -type f -size -1024k | while read -r path; do show_file "$path"; done ;;
    unit:*)
        printf 'unit\t%s\t' "$name"
        systemctl show -p LoadState,UnitFileState,ActiveState,SubState,InvocationID,NRestarts -- "$name" | tr '\n' '\t'
        echo ;;
    proof:*)
        sh -c "${name#* }" >/dev/null 2>&1 || printf 'disproved\t%s\n' "${name%% *}" ;;
    package:*)
        case $(dpkg-query -W -f '${db:Status-Status}' -- "$name" 2>/dev/null) in
        installed) printf 'package\t%s\n' "$name" ;;
        esac ;;
    artifact:*)
        if [ -f "$name/.agentfleet-complete" ]; then
            printf 'artifact\t%s\t%s\n' "$name" "$(cat "$name/.agentfleet-complete")"
        fi ;;
    esac
done
"""
