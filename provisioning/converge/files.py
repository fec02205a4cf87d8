"""Files: what stood there before is kept aside, new text is written beside and renamed, and all of it can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provisioning.converge.actual import Actual
from provisioning.converge.changes import Changes
from provisioning.converge.secrets import fill
from provisioning.converge.version import Version
from provisioning.ssh import Connection


def parents(path: str) -> list[str]:
    """The folders above `path`, outermost first."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: i + 1]) for i in range(len(parts))]


def missing_folders(shell: Connection, wanted: Iterable[str]) -> list[str]:
    """Those of the folders that do not exist yet."""
    names = sorted(wanted)
    script = 'for d in "$@"; do [ -d "$d" ] || printf "%s\\n" "$d"; done'
    return shell.script(script, *names, timeout_s=30).stdout.splitlines() if names else []


def backups(shell: Connection, folder: str, paths: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Where, below `folder`, the file that now stands at each path is kept; "" where there is none.

    A path that is known keeps its place: what stands there now is ours.
    """
    new = [path for path in paths if path not in known]
    if not new:
        return dict(known)
    script = 'for p in "$@"; do [ ! -e "$p" ] && [ ! -L "$p" ] || printf "%s\\n" "$p"; done'
    existing = set(shell.script(script, *new, timeout_s=30).stdout.splitlines())
    return {**known, **{path: f"{folder}{path}" if path in existing else "" for path in new}}


def keep_aside(shell: Connection, kept: Mapping[str, str]) -> None:
    """Copy what stands at each path to where the record says that it is kept, before it is replaced."""
    pairs = [word for path, place in kept.items() if place for word in (path, place)]
    if pairs:
        shell.script(_KEEP_ASIDE, *pairs, timeout_s=60)


def write(shell: Connection, wanted: Version, changes: Changes, kept: Mapping[str, str]) -> None:
    """Make the folders, then put, mend and remove."""
    expected = wanted.state
    made = sorted({parents(path)[-1] for path in changes.put} | {*expected.directories})
    if made:
        shell.script('# making folders\nmkdir -p -- "$@"', *made, timeout_s=30)
    for path in changes.put:
        file = expected.files[path]
        text = fill(file.text, wanted.secrets).encode()
        shell.put(path, text, mode=file.mode, owner=file.owner, group=file.group)
    for path in changes.attributes:
        file = expected.files[path]
        script = 'chown -- "$2" "$1"; chmod -- "$3" "$1"'
        shell.script(script, path, f"{file.owner}:{file.group}", file.mode, timeout_s=30)
    withdraw(shell, {path: kept.get(path, "") for path in changes.remove})


def withdraw(shell: Connection, files: Mapping[str, str]) -> None:
    """Take files away; where one was kept aside, it comes back with its owner, mode and times."""
    if files:
        shell.script(
            _WITHDRAW, *(word for path, kept in files.items() for word in (path, kept)), timeout_s=60
        )


def put_back(shell: Connection, before: Actual, changes: Changes) -> None:
    """Undo `write`: the texts as they were read before it, and nothing where there was nothing."""
    for path in (*changes.put, *changes.attributes, *changes.remove):
        if found := before.files.get(path):
            shell.put(path, found.text.encode(), mode=found.mode, owner=found.owner, group=found.group)
    withdraw(shell, {path: "" for path in changes.put if path not in before.files})


def remove_folders(shell: Connection, folders: Iterable[str]) -> None:
    """Remove the folders that we made, innermost first, where nothing of anybody else's is in them."""
    innermost_first = sorted(folders, reverse=True)
    if innermost_first:
        shell.script('for d in "$@"; do rmdir -- "$d" 2>/dev/null || :; done', *innermost_first, timeout_s=60)


# A backup that is missing although the record names it was never made: what stands there is still the original.
_KEEP_ASIDE = """# keeping aside the files that stand there
while [ $# -gt 0 ]; do
    if [ ! -e "$2" ] && { [ -e "$1" ] || [ -L "$1" ]; }; then
        mkdir -p -m 0700 -- "$(dirname -- "$2")"
        cp -a -- "$1" "$2.new"
        mv -T -- "$2.new" "$2"
    fi
    shift 2
done
"""

_WITHDRAW = """# taking files away
while [ $# -gt 0 ]; do
    if [ -n "$2" ] && { [ -e "$2" ] || [ -L "$2" ]; }; then
        cp -a -- "$2" "$1.agentfleet-new"
        mv -T -- "$1.agentfleet-new" "$1"
    else
        rm -f -- "$1"
    fi
    shift 2
done
"""
