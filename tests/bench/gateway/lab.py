"""A lab node that the bench's programs share: gateways run in it as on a machine, our own Python in its network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.gateway.candidates import NICE
from support.lab_stacks import LabStack
from support.traces import ROOT

LIMIT_S = 540


def in_network_of(stack: LabStack, node: str, module: str, *words: str) -> list[str]:
    """Words that run a module of the tests in the node's network, with this computer's Python, before other work."""
    program = ("nice", "-n", str(NICE), sys.executable, "-m", module, *words)
    return ["ip", "netns", "exec", stack.names.machine(node), *program]


@contextmanager
def background(words: Sequence[str]) -> Iterator[None]:
    """A program that says `ready` and is ended with the block."""
    with subprocess.Popen(words, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            assert said.strip() == "ready", f"{' '.join(words)} said {said!r}"
            yield
        finally:
            process.kill()


def answer_of(words: Sequence[str]) -> Any:
    """The JSON that a program prints; one that fails ends the bench with what it said."""
    ended = subprocess.run(
        words, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if ended.returncode:
        sys.exit(f"{' '.join(words)[:300]}: exit code {ended.returncode}\n{ended.stderr[-3000:]}")
    return json.loads(ended.stdout)


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
