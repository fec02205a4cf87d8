"""What an operator waits for: `make up` and its parts, the daily verbs, and what `make down` leaves (nothing).

    make bench-front-door               # stage1
    make bench-front-door STACK=stage2

Runs `make up` and `make down` of the stack as they stand, with a state folder of its own, so a stack that is up must be
taken down first. Times are wall-clock seconds on this computer; the lines beside each other come from one run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REPEATS = 5
DAILY_VERBS = {
    "pulumi up, nothing to do": "pulumi up --yes --skip-preview --stack {stack}",
    "pulumi preview": "pulumi preview --stack {stack}",
    "pulumi preview --refresh": "pulumi preview --refresh --stack {stack}",
    "fleet status": "fleet status {stack}",
    "fleet plan": "fleet plan stacks/{stack}.fleet.yaml",
}
PARTS = {
    "lab nodes": r"LabNode \S+",
    "state store": r"Service \S+/state",
    "engines": r"Service \S+/[a-z]+-\d+",
    "gateway": r"Service \S+/gateway",
}
"""Resources whose slowest one a part of `up` waits for; those of one part come up side by side."""


def run(words: Sequence[str], environment: dict[str, str]) -> tuple[float, str]:
    """Seconds and output of a command; a failing one ends the measurement with its output."""
    started = time.monotonic()
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}")
    return time.monotonic() - started, done.stdout


def best_of(words: Sequence[str], environment: dict[str, str]) -> str:
    """Smallest and median of REPEATS runs, as text."""
    seconds = sorted(run(words, environment)[0] for _ in range(REPEATS))
    return f"{seconds[0]:6.2f} s best, {seconds[REPEATS // 2]:6.2f} s median of {REPEATS}"


def snapshot(folder: Path, name: str, environment: dict[str, str]) -> Path:
    """What this computer holds now."""
    path = folder / f"{name}.json"
    path.write_text(run([str(ROOT / "tools" / "leftovers"), "snapshot"], environment)[1])
    return path


def parts_s(output: str) -> dict[str, float]:
    """Seconds that Pulumi spent on the slowest resource of each part."""
    found = {
        part: re.findall(rf"fleet:index:{resource} created \(([0-9.]+)s\)", output)
        for part, resource in PARTS.items()
    }
    return {part: max(map(float, seconds)) for part, seconds in found.items() if seconds}


def main(stack: str) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "AGENTFLEET_HOME": str(folder / "home")}
        before = snapshot(folder, "before", environment)
        setup_s, _ = run(["make", "setup"], environment)
        up_s, output = run(["make", "up", f"STACK={stack}"], environment)
        parts = parts_s(output)
        print(f"set-up, warm                      {setup_s:6.2f} s")
        print(f"make up to the first answer       {up_s:6.2f} s")
        for part, seconds in parts.items():
            print(f"  of which {part:22s} {seconds:6.2f} s")
        print(f"make up without the engines       {up_s - parts['engines']:6.2f} s")
        for title, words in DAILY_VERBS.items():
            print(f"{title:32s}  {best_of(['tools/run', *words.format(stack=stack).split()], environment)}")
        down_s, _ = run(["make", "down", f"STACK={stack}", f"DELETE_DATA={stack}"], environment)
        print(f"make down                         {down_s:6.2f} s")
        after = snapshot(folder, "after", environment)
        words = [str(ROOT / "tools" / "leftovers"), "compare", str(before), str(after)]
        compared = subprocess.run(words, capture_output=True, text=True, check=False)
        differences = "\n".join(f"    {line[:200]}" for line in compared.stdout.splitlines())
        print("left on this computer             nothing" if not differences else f"left:\n{differences}")
        print(json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg()[0]}))
        sys.exit(compared.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["stage1"])
