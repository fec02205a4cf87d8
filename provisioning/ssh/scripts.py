"""The shell texts that a connection sends, and the words by which its errors call them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

SCRIPT_SHELL = ("sh", "-eu", "-s", "--")


def as_one_command(text: str) -> bytes:
    """The script as one compound command: the shell reads all of it before it runs any of it.

    So a script that is torn on its way does nothing, and no command in it can swallow the rest from stdin.
    """
    return f"{{\n{text}\n}} </dev/null\n".encode()


def title(text: str) -> str:
    """A script's name in messages: its first comment, else its first line."""
    lines = (line.strip() for line in text.splitlines() if not line.startswith("#!"))
    first = next((line.lstrip("# ") for line in lines if line), "")
    return f'the script "{first}"' if len(first) <= 80 else f'the script "{first[:79]}…"'


_PUT = """\
path=$1 mode=$2 owner=$3 sum=$4
folder=$(dirname -- "$path")
[ -d "$folder" ] || { echo "its folder $folder does not exist" >&2; exit 1; }
umask 077
beside=
trap 'rm -f -- "$beside"' EXIT
trap 'exit 1' HUP INT TERM
beside=$(mktemp -- "$folder/.$(basename -- "$path").XXXXXX")
cat >"$beside"
printf '%s  %s\\n' "$sum" "$beside" | sha256sum --check --status ||
    { echo "not all of it arrived" >&2; exit 1; }
chown -- "$owner" "$beside"
chmod -- "$mode" "$beside"
sync -- "$beside"
mv -T -- "$beside" "$path"
sync -- "$folder"
"""
"""Writes stdin beside the file, for root's eyes only until it is complete, and puts it in place in one step."""


def put_argv(path: str, data: bytes, mode: str, owner: str, group: str) -> Sequence[str]:
    """The command that makes its stdin, `data`, the content of `path`."""
    digest = hashlib.sha256(data).hexdigest()
    return ("sh", "-euc", _PUT, "sh", path, mode, f"{owner}:{group}", digest)


_PUT_ADVICE = (
    ("No space left on device", "free space on that file system"),
    ("Disk quota exceeded", "raise the quota"),
    ("Read-only file system", "it cannot be written there; remount it, or choose another place"),
    ("does not exist", "create the folder first"),
    ("invalid user", "create the user first, or correct owner and group"),
    ("invalid group", "create the group first, or correct owner and group"),
    ("cannot overwrite directory", "a folder is in its place; remove it"),
    ("not all of it arrived", "run again"),
)


def put_advice(stderr: str) -> str:
    """What to do about a failed write, from the system's own words; empty when they are unknown."""
    return next((advice for words, advice in _PUT_ADVICE if words in stderr), "")
