"""A run of the tests that leaves something on this computer fails, even when every test passed."""

from __future__ import annotations

import os
import secrets
import time

import pytest

from support.claims import given_names
from support.traces import files_of, processes_with, traces_of

RUN = "AGENTFLEET_TEST_RUN"
"""An environment variable, and so the mark of every process that a run starts."""

ENDING_S = 10.0
"""How long a process that was told to end may take."""

_found: list[str] = []
_names_of_workers: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    """Marks this run; its workers are started with the mark."""
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = secrets.token_hex(8)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:  # noqa: ARG001 - the hook's own names
    """A worker has ended: the names that it gave to its stacks are this run's."""
    _names_of_workers.update(getattr(node, "workeroutput", {}).get("stacks", ()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Looks for what is left, after the last worker has ended."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["stacks"] = list(given_names)
        return
    names = [*given_names, *sorted(_names_of_workers)]
    _found.extend([*_processes_that_stay(os.environ[RUN]), *traces_of(*names), *files_of(names)])
    if _found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what is left."""
    if _found:
        terminalreporter.section("left on this computer by this run", red=True)
        for line in _found:
            terminalreporter.line(line)


def _processes_that_stay(run: str) -> list[str]:
    deadline_s = time.monotonic() + ENDING_S
    while (found := processes_with(RUN, run)) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return found
