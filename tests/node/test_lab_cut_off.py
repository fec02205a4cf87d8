"""A caller that is killed, at any of its commands, leaves nothing that the next call does not adopt or clear away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from provisioning import lab
from provisioning.lab.folders import lab_dir
from support.lab_stacks import LabStack
from support.traces import ROOT, traces_of

CutOff = Callable[[str, lab.LabNodeState, int], bool]


@pytest.fixture(scope="module")
def cut_off() -> Iterator[CutOff]:
    """Does an action to a node in a process that kills itself after so many commands; whether it died of that."""
    words = [sys.executable, str(Path(__file__).with_name("killed_caller.py"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as caller:

        def act(action: str, state: lab.LabNodeState, commands: int) -> bool:
            assert caller.stdin
            assert caller.stdout
            caller.stdin.write(json.dumps([action, commands, asdict(state)]) + "\n")
            caller.stdin.flush()
            exit_code = int(caller.stdout.readline())
            assert exit_code in (0, -signal.SIGKILL), "the action failed: see the captured standard error"
            return exit_code != 0

        yield act
        assert caller.stdin
        caller.stdin.close()


def test_a_start_that_was_killed_is_taken_up_by_the_next(lab_stack: LabStack, cut_off: CutOff) -> None:
    state = lab_stack.state("node-1")
    commands = 0
    while cut_off("start", state, commands):
        assert lab_stack.start("node-1").sh("hostname") == "node-1\n", f"killed after {commands} commands"
        lab.remove(state)
        assert traces_of(lab_stack.name) == [], f"killed after {commands} commands"
        commands += 1
    assert commands > 15
    lab_stack.start("node-1").sh("true")


def test_a_start_that_was_killed_is_removed_without_another(lab_stack: LabStack, cut_off: CutOff) -> None:
    state = lab_stack.state("node-1")
    commands = 0
    while cut_off("start", state, commands):
        lab.remove(state)
        assert traces_of(lab_stack.name) == [], f"killed after {commands} commands"
        commands += 1
    assert commands > 15


def test_a_removal_that_was_killed_is_finished_by_the_next_or_by_a_sweep(
    lab_stack: LabStack, cut_off: CutOff
) -> None:
    node = lab_stack.start("node-1")
    commands = 0
    while cut_off("remove", node.state, commands):
        lab.remove(node.state) if commands % 2 else lab.sweep(lab_stack.name)  # both go the same way
        assert traces_of(lab_stack.name) == [], f"killed after {commands} commands"
        lab_stack.start("node-1")
        commands += 1
    assert commands > 5
    assert traces_of(lab_stack.name) == []


def test_a_start_after_a_removal_that_was_killed_boots_a_fresh_disk(
    lab_stack: LabStack, cut_off: CutOff
) -> None:
    node = lab_stack.start("node-1")
    node.sh("touch /root/old")
    commands = 0
    while cut_off("remove", node.state, commands):
        node = lab_stack.start("node-1")
        assert node.try_sh("test -e /root/old").returncode == 1, f"half a disk, after {commands} commands"
        node.sh("touch /root/old")
        commands += 1
    assert commands > 5
    assert traces_of(lab_stack.name) == []


def test_the_folders_alone_are_not_needed_to_find_what_is_left(lab_stack: LabStack) -> None:
    lab_stack.start("node-1")
    lab_stack.start("node-2")
    for node in ("node-1", "node-2"):
        (lab_dir() / lab_stack.name / node / "record.json").unlink()
    assert lab.sweep(lab_stack.name) == ["node-1", "node-2"]
    assert traces_of(lab_stack.name) == []
