"""A caller that is killed, at any of its commands, leaves nothing that the next call does not adopt or clear away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from lab_stacks import LabStack, traces

from provisioning import lab
from provisioning.lab.folders import lab_dir

pytestmark = pytest.mark.node

REPOSITORY = Path(__file__).resolve().parents[2]

KILLED_BEFORE_COMMAND = """\
import json, os, signal, subprocess, sys
from provisioning import lab

commands_left = int(sys.argv[2])
run = subprocess.run


def run_or_die(words, **options):
    global commands_left
    if not {"-j", "ssh", "ssh-keygen"} & set(words):  # questions change nothing
        if commands_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        commands_left -= 1
    return run(words, **options)


subprocess.run = run_or_die
getattr(lab, sys.argv[1])(lab.LabNodeState(**json.loads(sys.argv[3])))
"""


def cut_off(action: str, state: lab.LabNodeState, commands: int) -> bool:
    """Does `action` to the node in a process that kills itself after so many commands; whether it died of that."""
    words = [sys.executable, "-c", KILLED_BEFORE_COMMAND, action, str(commands), json.dumps(asdict(state))]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


def test_a_start_that_was_killed_is_taken_up_by_the_next(lab_stack: LabStack) -> None:
    state = lab_stack.state("node-1")
    commands = 0
    while cut_off("start", state, commands):
        assert lab_stack.start("node-1").sh("hostname") == "node-1\n", f"killed after {commands} commands"
        lab.remove(state)
        assert traces(lab_stack) == [], f"killed after {commands} commands"
        commands += 1
    assert commands > 15
    lab_stack.start("node-1").sh("true")


def test_a_start_that_was_killed_is_removed_without_another(lab_stack: LabStack) -> None:
    state = lab_stack.state("node-1")
    commands = 0
    while cut_off("start", state, commands):
        lab.remove(state)
        assert traces(lab_stack) == [], f"killed after {commands} commands"
        commands += 1
    assert commands > 15


@pytest.mark.parametrize("next_call", ["remove", "sweep", "start"])
def test_a_removal_that_was_killed_is_finished_by_the_next_call(lab_stack: LabStack, next_call: str) -> None:
    node = lab_stack.start("node-1")
    commands = 0
    while cut_off("remove", node.state, commands):
        match next_call:
            case "remove":
                lab.remove(node.state)
            case "sweep":
                lab.sweep(lab_stack.name)
            case _:
                fresh = lab_stack.start("node-1")
                assert fresh.try_sh("test -e /root/old").returncode == 1, "half a disk was booted"
                lab.remove(node.state)
        assert traces(lab_stack) == [], f"killed after {commands} commands"
        node = lab_stack.start("node-1")
        node.sh("touch /root/old")
        commands += 1
    assert commands > 5
    assert traces(lab_stack) == []


def test_the_folders_alone_are_not_needed_to_find_what_is_left(lab_stack: LabStack) -> None:
    lab_stack.start("node-1")
    lab_stack.start("node-2")
    for node in ("node-1", "node-2"):
        (lab_dir() / lab_stack.name / node / "record.json").unlink()
    assert lab.sweep(lab_stack.name) == ["node-1", "node-2"]
    assert traces(lab_stack) == []
