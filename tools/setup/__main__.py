"""`python3 -m tools.setup [all|dev|lab|litellm|test]`: makes this computer ready, or says that it is."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # the sentence for those who have an older one
    sys.exit(
        "agentfleet needs Python 3.11 or newer, and this is "
        f"{sys.version_info.major}.{sys.version_info.minor}.\n"
        "What to do: install python3.11 and run `make PYTHON=python3.11 ...`"
    )

import argparse
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from provisioning.places import cache_dir
from tools.setup.commands import Commands
from tools.setup.console import Console
from tools.setup.errors import SetupError
from tools.setup.release import this_release
from tools.setup.step import Places, Step
from tools.setup.steps import PARTS, steps_for
from tools.setup.system import check_disk, check_namespaces, confirm_sudo

INTERRUPTED = 130
FAILED = 3
POLL_INTERVAL_S = 1.0


def main() -> int:
    """Runs the steps that are not done; 0 when all are, 3 with a sentence when one fails, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="tools.setup", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=PARTS)
    part = parser.parse_args().part
    os.umask(0o022)  # services of the lab run under users of their own and read the cache
    try:
        return _make_ready(part, Console())
    except SetupError as error:
        print(f"\nset-up: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return INTERRUPTED


def _make_ready(part: str, console: Console) -> int:
    started_s = time.monotonic()
    places = Places(repo=Path(__file__).resolve().parents[2], cache=cache_dir())
    steps = steps_for(part, places, this_release())
    if not _open(steps):
        console.say(f"set-up: everything is ready ({time.monotonic() - started_s:.1f} s)")
        return 0
    with _lock(places.cache, console) as held:
        commands = Commands(console, places.cache / "logs", held)
        to_do = _open(steps)  # again: the set-up that was waited for may have done them
        _check_before(to_do, places, commands)
        for number, step in enumerate(to_do, 1):
            _run(step, f"[{number}/{len(to_do)}] {step.name}", commands)
    console.say(
        f"set-up: ready after {time.monotonic() - started_s:.0f} s; the next time takes less than one"
    )
    return 0


def _open(steps: Sequence[Step]) -> list[Step]:
    return [step for step in steps if not step.is_done()]


def _check_before(steps: Sequence[Step], places: Places, commands: Commands) -> None:
    """Refuses in the first second what would fail after minutes."""
    check_disk(places.cache, sum(step.needs_bytes for step in steps))
    if any(step.needs_root for step in steps):
        confirm_sudo(commands)
    if any(step.needs_namespaces for step in steps):
        check_namespaces(commands)


def _run(step: Step, title: str, commands: Commands) -> None:
    commands.log_to(step.name.replace(" ", "-"))
    try:
        with commands.console.timed(title, step.why):
            step.run(commands)
    except SetupError as error:
        sentence = f"the step '{step.name}' failed. {error.sentence}"
        raise SetupError(sentence, evidence=error.evidence, advice=error.advice) from error
    except OSError as error:
        raise SetupError(
            f"the step '{step.name}' failed: {error}.", advice="mend it and run the same again"
        ) from error


@contextmanager
def _lock(cache: Path, console: Console) -> Iterator[int]:
    """Lets one set-up work at a time; a second one says so and waits. Yields the lock's file descriptor."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "setup.lock").open("a+", encoding="utf-8") as file:
        if not _try_lock(file):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            why = f"another set-up is at work here, process {owner} or a program that it has started"
            with console.timed("waiting", why):
                while not _try_lock(file):
                    time.sleep(POLL_INTERVAL_S)
                    console.tick()
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield file.fileno()


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
