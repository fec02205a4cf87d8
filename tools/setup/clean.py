"""`python3 -m tools.setup.clean`: deletes the cache, unless a lab node still runs from it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from provisioning.places import cache_dir
from tools.setup.commands import as_root
from tools.setup.errors import SetupError

FAILED = 3


def main() -> int:
    """Deletes it; 3 with a sentence where it is in use."""
    cache = cache_dir()
    try:
        _delete(cache)
    except SetupError as error:
        print(f"clean-cache: {error}", file=sys.stderr)
        return FAILED
    print(f"{cache} is deleted; the next command builds it again (about five minutes)")
    return 0


def _delete(cache: Path) -> None:
    if not cache.exists():
        return
    with (cache / "setup.lock").open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError("A set-up is at work there.", advice="wait for it to end") from None
        if uses := uses_of(cache):
            others = f" and {len(uses) - 1} more" if len(uses) > 1 else ""
            raise SetupError(
                f"{cache} is in use: {uses[0]}{others}.",
                advice="bring the stacks down first (make down)",
            )
        # The base image belongs to root, whoever made the rest.
        subprocess.run(as_root(["rm", "-rf", "--one-file-system", "--", str(cache)], {}), check=True)


def uses_of(folder: Path, processes: Path = Path("/proc")) -> list[str]:
    """What keeps `folder` in use, in words, each once: mounts of anything in it, programs that run from it."""
    uses: dict[str, None] = {}
    for process in sorted(processes.glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(process.name) != os.getpid():
            uses |= dict.fromkeys(_uses(process, folder))
    return list(uses)


def _uses(process: Path, folder: Path) -> Iterator[str]:
    try:
        for line in (process / "mountinfo").read_text(errors="replace").splitlines():
            if str(folder) in line:
                yield f"something of it is mounted at {line.split()[4]}"
        program = (process / "exe").readlink()
        if program.is_relative_to(folder):
            yield f"process {process.name} runs {program.name} from it"
    except OSError:  # it has ended, or is not ours to look at
        return


if __name__ == "__main__":
    sys.exit(main())
