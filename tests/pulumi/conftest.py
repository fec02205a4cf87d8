"""Stacks for tests: the real engine and provider; each is destroyed, whatever the test did to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stack import ROOT, Stack

from provisioning import lab


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """An empty stack of the test program."""
    yield from _destroyed_at_the_end(Stack(tmp_path))


@pytest.fixture
def other_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A second one beside it."""
    yield from _destroyed_at_the_end(Stack(tmp_path_factory.mktemp("other")))


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack of the test program for a module whose tests build upon each other."""
    yield from _destroyed_at_the_end(Stack(tmp_path_factory.mktemp("stack")))


@pytest.fixture(scope="module")
def fleet_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of the product's own program; its spec is fleet.yaml in the stack's folder."""
    folder = tmp_path_factory.mktemp("fleet")
    settings = {"agentfleet:spec": str(folder / "fleet.yaml")}
    yield from _destroyed_at_the_end(
        Stack(folder, program=ROOT, config=settings, secrets={"agentfleet:apiKey": "k" * 32})
    )


def _destroyed_at_the_end(stack: Stack) -> Iterator[Stack]:
    stack.create()
    try:
        yield stack
    finally:
        stack.run("destroy", "--yes", "--skip-preview", check=False)
        lab.sweep(stack.name)
