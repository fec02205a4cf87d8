"""Runs the Pulumi CLI for one stack: to be read by this program, or to be watched by a person."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tools.stack.errors import StackError

MARK = "AGENTFLEET_RUN"
"""Set in every process of a run to `<backend>#<stack>`, so that what a killed run left behind can be found."""


@dataclass(frozen=True)
class Pulumi:
    """The CLI in the project's folder, for one stack, in a complete environment (stack_environment)."""

    repo: Path
    stack: str
    environment: Mapping[str, str]

    @property
    def mark(self) -> str:
        """The value of MARK in the processes of this stack's runs."""
        return f"{self.environment.get('PULUMI_BACKEND_URL', '')}#{self.stack}"

    def exists(self) -> bool:
        """Whether the backend has the stack."""
        listed: list[dict[str, Any]] = json.loads(self.read("stack", "ls", "--json"))
        return any(entry["name"].rsplit("/", 1)[-1] == self.stack for entry in listed)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secret ones as `[secret]`."""
        values: dict[str, Any] = json.loads(self.read("stack", "output", "--json", *self._this))
        return values

    def setting(self, name: str) -> str:
        """One setting of the stack, decrypted; empty where it is not set."""
        answer = self._ask(["config", "get", name, *self._this])
        return answer.stdout.rstrip("\n") if answer.returncode == 0 else ""

    def keep_secret(self, name: str, value: str) -> None:
        """Stores a secret setting; the value goes through a pipe, where no list of processes shows it."""
        answer = self._ask(["config", "set", "--secret", name, *self._this], value)
        if answer.returncode != 0:
            raise StackError(
                f"the setting {name} of {self.stack} could not be stored: {answer.stderr.strip()}"
            )

    def read(self, *words: str) -> str:
        """What a command of the CLI prints; raises StackError with its complaint when it fails."""
        answer = self._ask(list(words))
        if answer.returncode != 0:
            complaint = answer.stderr.strip() or answer.stdout.strip()
            raise StackError(f"`pulumi {' '.join(words)}` failed: {complaint}", answer.returncode)
        return answer.stdout

    def watch(self, *words: str) -> int:
        """Runs a command that a person watches and may interrupt; returns its exit code.

        It runs in a process group of its own, the foreground one where there is a terminal, so that a Ctrl-C reaches
        Pulumi once: the first asks it to end in order, a second one would cut it off in the middle.
        """
        sys.stdout.flush()
        command = ["pulumi", *words, *self._this]
        with _uninterrupted() as stop:
            process = subprocess.Popen(command, cwd=self.repo, env=self._marked, process_group=0)
            stop.append(process)
            with _in_foreground(process.pid):
                code = process.wait()
        return code if code >= 0 else 128 - code

    @property
    def _this(self) -> list[str]:
        return ["--stack", self.stack]

    @property
    def _marked(self) -> dict[str, str]:
        return {**self.environment, MARK: self.mark}

    def _ask(self, words: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", *words],
            cwd=self.repo,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def _uninterrupted() -> Iterator[list[subprocess.Popen[bytes]]]:
    """While it lasts, an interrupt or a polite kill is passed on, once each, to the process put into the list."""
    children: list[subprocess.Popen[bytes]] = []

    def forward(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the shape of a signal handler
        for child in children:
            child.send_signal(signal.SIGINT)  # Pulumi ends in order on SIGINT alone

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    # A stopped Pulumi would leave the terminal to nobody: Ctrl-Z does nothing meanwhile.
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _in_foreground(group: int) -> Iterator[None]:
    """Gives the terminal, if we have one and it is ours, to a process group for a while."""
    try:
        ours = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        ours = False
    if not ours:
        yield
        return
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # taking the terminal back is not a crime
    os.tcsetpgrp(sys.stdin.fileno(), group)
    try:
        yield
    finally:
        os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
        signal.signal(signal.SIGTTOU, before)
