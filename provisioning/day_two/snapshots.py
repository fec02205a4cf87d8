"""Snapshots of a state store: out of its machine into a file of this computer, and back. In pieces, so of any size."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from provisioning.errors import CommandError, ProvisioningError
from provisioning.ssh import Connection

PIECE_BYTES = 16 * 2**20
TAKE_S = 3600
"""What a store of many GiB may need to write its snapshot, or to read one."""

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have crossed."""


def take(shell: Connection, command: str, to: Path, progress: Progress) -> int:
    """Has the store write a snapshot and brings it here as the file `to`, for this user alone; its size in bytes.

    The file appears when it is whole. Raises ProvisioningError.
    """
    path = shell.run([command], timeout_s=TAKE_S).stdout.strip()
    beside = to.with_name(f"{to.name}.part")
    try:
        size, digest = _measure(shell, path)
        beside.touch(mode=0o600)
        with beside.open("wb") as file:
            for start in range(0, size, PIECE_BYTES):
                file.write(_piece(shell, path, start))
                progress(min(start + PIECE_BYTES, size), size)
        if _digest(beside) != digest:
            raise ProvisioningError(f"{path} changed on its way here: take another backup")
        beside.replace(to)
    finally:
        beside.unlink(missing_ok=True)
        shell.run(["rm", "-f", "--", path])
    return size


def bring_back(shell: Connection, command: str, data_folder: str, source: Path, progress: Progress) -> int:
    """Sends the snapshot and has the store hold that and nothing else; the number of its keys.

    Raises ProvisioningError; the store then holds what it held before, unless the error says otherwise.
    """
    with sent(shell, data_folder, source, progress) as path:
        return load(shell, command, path)


@contextmanager
def sent(shell: Connection, data_folder: str, source: Path, progress: Progress) -> Iterator[str]:
    """The snapshot's path on the machine for as long as the block lasts, unless it is used up there.

    Raises ProvisioningError when it does not arrive whole.
    """
    path = str(PurePosixPath(data_folder) / "incoming.rdb")
    size = source.stat().st_size
    shell.script('# making room\nrm -f -- "$1"; umask 077; : >"$1"', path)
    try:
        with source.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                shell.run(["sh", "-c", 'cat >>"$1"', "sh", path], stdin=piece, timeout_s=600)
                progress(file.tell(), size)
        if _measure(shell, path) != (size, _digest(source)):
            raise ProvisioningError(f"{source} did not arrive whole: try again")
        yield path
    finally:
        with suppress(
            ProvisioningError
        ):  # what went wrong before is the error to tell; the next one writes over it
            shell.run(["rm", "-f", "--", path])


def load(shell: Connection, command: str, path: str) -> int:
    """Has the store's own `restore` put the snapshot in the place of what it holds; the number of its keys.

    Raises CommandError; with an exit code, what the store held before is back.
    """
    return int(shell.run([command, path], timeout_s=TAKE_S).stdout.split()[-1])


def _measure(shell: Connection, path: str) -> tuple[int, str]:
    """Size and SHA-256 of a file there."""
    said = shell.script(
        '# measuring\nstat -c %s -- "$1"; sha256sum <"$1"', path, timeout_s=TAKE_S
    ).stdout.split()
    return int(said[0]), said[1]


def _piece(shell: Connection, path: str, start: int) -> bytes:
    words = ["sh", "-c", 'tail -c "+$2" -- "$1" | head -c "$3" | base64 -w0', "sh"]
    result = shell.run([*words, path, str(start + 1), str(PIECE_BYTES)], timeout_s=600)
    try:
        return base64.b64decode(result.stdout, validate=True)
    except ValueError:
        raise CommandError(shell.address.label, words, 0, what=f"reading {path}") from None


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
