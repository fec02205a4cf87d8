"""What a test can ask for beyond Python. Asking is what marks it: `node` for lab nodes, `engine` for the real vLLM.

    lab_stack         a stack without nodes: `lab_stack.start("node-1")` answers when SSH does
    other_lab_stack   a second one beside it
    lab_node          one fresh node, for the test alone
    shared_lab_node   one node for all tests that leave it as they found it; boots once
    stack             an empty stack of the test program (pulumi_program) on Pulumi's real engine, with our provider
    other_stack       a second one beside it
    fleet_stack       a stack of the product's own program for a module whose tests build upon each other
    engine_python     the Python of the real vLLM
    sshd              an sshd of the tests' own on 127.0.0.1, for a module
    connections       the product's SSH connections, closed at the end

Every stack has a name and a network of its own, and each is gone when its test ends, whatever the test did to it.
"""

# ruff: noqa: ARG001 - a fixture names another to have it first

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.ssh import Connections
from support.claims import sweep_abandoned
from support.lab_stacks import LabStack, StartedNode, swept_lab_stack
from support.local_sshd import SSHD, LocalSshd, local_sshd
from support.pulumi_stacks import Stack, destroyed_stack
from support.readiness import is_missing, require_engine, require_lab, require_pulumi
from support.traces import ROOT

MARKS = {"lab_ready": "node", "engine_python": "engine"}
"""Fixture, and the marker of every test that needs it, by whatever way."""


LONGEST_FIRST = ("fleet_stack", "stack", "lab_ready", "engine_python")
"""Fixtures whose files take minutes: of several workers, none may begin with one when the others are done."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks each test by what it asks for, and has several workers begin with the long files."""
    asked_by_file: dict[Path, set[str]] = {}
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        asked_by_file.setdefault(item.path, set()).update(asked)
        for fixture in asked & MARKS.keys():
            item.add_marker(MARKS[fixture])
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: [fixture not in asked_by_file[item.path] for fixture in LONGEST_FIRST])


@pytest.fixture(scope="session")
def lab_ready() -> None:
    """Lab nodes can run here, and nothing is left of test runs that were killed."""
    require_lab()
    sweep_abandoned()


@pytest.fixture
def lab_stack(lab_ready: None) -> Iterator[LabStack]:
    """A stack without nodes."""
    with swept_lab_stack() as stack:
        yield stack


@pytest.fixture
def other_lab_stack(lab_ready: None) -> Iterator[LabStack]:
    """A second stack beside lab_stack."""
    with swept_lab_stack() as stack:
        yield stack


@pytest.fixture
def lab_node(lab_stack: LabStack) -> StartedNode:
    """One fresh node for the test alone."""
    return lab_stack.start("node-1")


@pytest.fixture(scope="session")
def shared_lab_node(lab_ready: None) -> Iterator[StartedNode]:
    """One node for all tests that leave it as they found it."""
    with swept_lab_stack() as stack:
        yield stack.start("node-1")


@pytest.fixture(scope="session")
def pulumi_ready() -> None:
    """There is a Pulumi."""
    require_pulumi()


@pytest.fixture
def stack(lab_ready: None, pulumi_ready: None, tmp_path: Path) -> Iterator[Stack]:
    """An empty stack of the test program."""
    with destroyed_stack(tmp_path / "pulumi") as stack:
        yield stack


@pytest.fixture
def other_stack(lab_ready: None, pulumi_ready: None, tmp_path: Path) -> Iterator[Stack]:
    """A second one beside it, with a backend of its own."""
    with destroyed_stack(tmp_path / "other-pulumi") as stack:
        yield stack


@pytest.fixture(scope="module")
def fleet_stack(
    lab_ready: None, pulumi_ready: None, engine_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack of the product's own program; its spec is fleet.yaml in the stack's folder."""
    folder = tmp_path_factory.mktemp("fleet")
    config, secrets = {"agentfleet:spec": str(folder / "fleet.yaml")}, {"agentfleet:apiKey": "k" * 32}
    with destroyed_stack(folder, program=ROOT, config=config, secrets=secrets) as stack:
        yield stack


@pytest.fixture(scope="session")
def engine_python() -> Path:
    """The Python of the set-up's vLLM."""
    return require_engine()


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSshd]:
    """It lets the user who runs the tests in, so that must be root."""
    if os.geteuid() != 0 or not SSHD.exists():
        is_missing(f"needs root and {SSHD} (package openssh-server)")
    with local_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def connections() -> Iterator[Connections]:
    """The product's SSH connections."""
    with Connections() as all_of_them:
        yield all_of_them
