"""kill -9 of pulumi and the provider anywhere, and Ctrl-C once: the next `up` goes on, going down leaves nothing."""

from __future__ import annotations

import os
import signal

import pytest

from support.pulumi_stacks import UP, Stack
from support.shell import Shell
from support.small_service import KEY_PATH, SITE, UNIT, UNIT_PATH, on_lab_node, web
from support.traces import traces_of
from support.waiting import wait_for_output

BRINGING = "a site: working"
STEPS = [
    "n1 creating",
    "n1: boots",
    "n1: answers",
    "h1 creating",
    "connecting to",
    "h1 created",
    "web creating",
    "starting fleet-test-web",
    "web created",
]
"""What `up` says as it goes on; beside these it says BRINGING."""


def start_and_kill(stack: Stack, said: str) -> None:
    """An `up` that is killed when it has said this; then the unlocking that `make up` does."""
    process = stack.start(*UP)
    wait_for_output(process, said)
    stack.kill(process)
    stack.unlock()


def found_on(shell: Shell) -> list[str]:
    """What the machine holds of everything that was declared, as words."""
    return shell.run(
        f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}; cat {KEY_PATH}; cat {SITE}/index.html; "
        f"grep -c 'http.server' {UNIT_PATH}; ls -A /etc/agentfleet-test/web; ls -A /var/lib/agentfleet/.records"
    ).split()


def declared(stack: Stack) -> list[str]:
    """The words that `found_on` gives when everything is as declared."""
    return ["active", "enabled", "KEY=hush", "hello", "1", "key.env", stack.name]


@pytest.mark.parametrize("said", STEPS)
def test_after_a_kill_at_any_step_the_next_up_completes_and_destroy_leaves_nothing(
    stack: Stack, said: str
) -> None:
    stack.declare(on_lab_node(stack, web()))
    start_and_kill(stack, said)
    stack.up()
    assert found_on(stack.shell()) == declared(stack)
    stack.destroy()
    assert traces_of(stack.name) == []


@pytest.mark.parametrize("said", ["n1: boots", BRINGING, "starting fleet-test-web"])
def test_going_down_right_after_a_kill_leaves_nothing(stack: Stack, said: str) -> None:
    stack.declare(on_lab_node(stack, web()))
    start_and_kill(stack, said)
    stack.down()
    assert traces_of(stack.name) == []


def test_a_kill_while_a_folder_is_brought_does_not_stop_the_work(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(bring_s=4)))
    start_and_kill(stack, BRINGING)
    shell = stack.shell()
    running = shell.run("systemctl list-units --plain --no-legend 'agentfleet-bring-*'").split()[0]
    stack.up()
    assert found_on(shell) == declared(stack)
    assert shell.run(f"journalctl --quiet --output=cat --unit={running} | grep -c Started").strip() == "1"


def test_ctrl_c_once_ends_cleanly_and_the_next_up_goes_on(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(bring_s=4)))
    process = stack.start(*UP)
    wait_for_output(process, BRINGING)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "Traceback" not in output
    assert "panic" not in output
    assert list((stack.folder / ".pulumi" / "locks").rglob("*.json")) == [], "the stack is still locked"
    stack.up()
    assert found_on(stack.shell()) == declared(stack)
