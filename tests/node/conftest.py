"""Lab nodes for tests: each stack has a name of its own and is swept away, whatever the test did to it.

    lab_stack         a stack without nodes: `lab_stack.start("node-1")` answers when SSH does
    other_lab_stack   a second one beside it
    lab_node          one fresh node, for the test alone
    shared_lab_node   one node for all tests that leave it as they found it; boots once

A node has `facts` (address, port, user, host_key, identity_file), `state`, and `sh(script)`.

Where lab nodes cannot run, tests that ask for these skip with the reason; with CI=true they fail, so that a pipeline
that has lost its lab does not look healthy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from lab_stacks import LabStack, StartedNode, sweep_abandoned, traces

from provisioning import lab
from provisioning.errors import LabError
from provisioning.lab.local import require_programs, run_as_root

StackMaker = Callable[[Path], AbstractContextManager[LabStack]]


@pytest.fixture(scope="session")
def lab_ready() -> StackMaker:
    """Lab nodes can run here, and nothing is left of test runs that were killed; makes stacks that get swept."""
    try:
        require_programs()
        lab.image_dir()
        run_as_root(["unshare", "--mount", "--net", "--pid", "--fork", "true"])
    except LabError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    sweep_abandoned()
    return _swept_stack


@pytest.fixture
def lab_stack(lab_ready: StackMaker, tmp_path: Path) -> Iterator[LabStack]:
    """A stack without nodes."""
    with lab_ready(tmp_path) as stack:
        yield stack


@pytest.fixture
def other_lab_stack(lab_ready: StackMaker, tmp_path: Path) -> Iterator[LabStack]:
    """A second stack beside lab_stack."""
    with lab_ready(tmp_path) as stack:
        yield stack


@pytest.fixture
def lab_node(lab_stack: LabStack) -> StartedNode:
    """One fresh node for the test alone."""
    return lab_stack.start("node-1")


@pytest.fixture(scope="session")
def shared_lab_node(lab_ready: StackMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedNode]:
    """One node for all tests that leave it as they found it."""
    with lab_ready(tmp_path_factory.mktemp("lab")) as stack:
        yield stack.start("node-1")


@contextmanager
def _swept_stack(folder: Path) -> Iterator[LabStack]:
    stack = LabStack(folder)
    try:
        yield stack
    finally:
        lab.sweep(stack.name)
        assert traces(stack) == []
