"""A stack's state in the file backend that was cut off while Pulumi wrote it.

The file backend writes the state in place. A kill in that moment leaves an empty or torn file, which no Pulumi command
reads any more; the state before it stands beside it. What was made in between is found again on the machines.
Beside each file its attributes stand in one of their own (.attrs), which is torn in the same way and needed by nobody.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

from tools.stack.errors import StackError

PROJECT = "agentfleet"


def backend_folder(url: str) -> Path | None:
    """The folder of a file backend; None for any other backend, which looks after itself."""
    backend = urlparse(url)
    return Path(unquote(backend.path)) / ".pulumi" if backend.scheme == "file" else None


def mend_checkpoint(url: str, stack: str, say: Callable[[str], None]) -> bool:
    """Puts the last whole state in the place of a torn one; True if there was one.

    Raises StackError where no whole state is left.
    """
    folder = backend_folder(url)
    state = folder / "stacks" / PROJECT / f"{stack}.json" if folder else None
    if state is None:
        return False
    for attributes in state.parent.glob(f"{stack}.json*.attrs"):
        if not _is_whole(attributes):
            attributes.unlink()
    if not state.exists() or _is_whole(state):
        return False
    before = state.with_name(f"{state.name}.bak")
    if not _is_whole(before):
        raise StackError(
            f"the state of {stack}, {state}, is torn and so is the one before it: restore it from a backup, or remove "
            f"{state} and run `make up STACK={stack}`, which takes over what the machines hold",
            3,
        )
    beside = state.with_name(f"{state.name}.mended")
    shutil.copyfile(before, beside)
    beside.replace(state)
    say(f"a run that was killed had left the state of {stack} torn: went back to the one before it")
    return True


def _is_whole(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_text()), dict)
    except (OSError, ValueError):
        return False
