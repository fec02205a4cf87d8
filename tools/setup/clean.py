"""`python3 -m tools.setup.clean`: deletes the cache, unless a lab node still runs from it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
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
        if users := users_of(cache):
            raise SetupError(
                f"Processes still run from {cache}, or show it to a lab node: {', '.join(map(str, users))}.",
                advice="bring the stacks down first (make down)",
            )
        # The base image belongs to root, whoever made the rest.
        subprocess.run(as_root(["rm", "-rf", "--one-file-system", "--", str(cache)], {}), check=True)


def users_of(folder: Path, processes: Path = Path("/proc")) -> list[int]:
    """Processes, but not this one, that have something of `folder` mounted or run a program from it."""
    return sorted(
        int(process.name)
        for process in processes.glob("[0-9]*")
        if int(process.name) != os.getpid() and _uses(process, folder)
    )


def _uses(process: Path, folder: Path) -> bool:
    try:
        mounted = str(folder) in (process / "mountinfo").read_text(errors="replace")
        return mounted or (process / "exe").readlink().is_relative_to(folder)
    except OSError:  # it has ended, or is not ours to look at
        return False


if __name__ == "__main__":
    sys.exit(main())
