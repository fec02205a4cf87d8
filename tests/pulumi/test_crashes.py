"""kill -9 of pulumi and the provider anywhere, and Ctrl-C once: the next `up` goes on, and destroy leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from machine import Shell
from small import KEY_PATH, SITE, UNIT, UNIT_PATH, on_lab_node, web
from stack import Stack

from provisioning import lab
from provisioning.lab.names import StackNames
from provisioning.places import state_dir

pytestmark = pytest.mark.node

NETWORK = "198.18.251"
POINTS = 12
"""Kills, spread evenly over what an undisturbed `up` takes."""


def leftovers(stack: Stack) -> list[str]:
    """Whatever this computer still holds of the stack: namespaces, links, tables, mounts, processes, folders."""
    names = StackNames(str(state_dir()), stack.name)
    words = (
        f"ip netns list; ip -o link; nft list tables; mount; ps -eo args; find {state_dir()}/lab -maxdepth 1"
    )
    lines = subprocess.run(
        ["sh", "-c", words], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in lines if names.key in line or stack.name in line or NETWORK in line]


def found_on(shell: Shell) -> list[str]:
    """What the machine holds of everything that was declared, as words."""
    return shell.run(
        f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}; cat {KEY_PATH}; cat {SITE}/index.html; "
        f"grep -c 'http.server' {UNIT_PATH}; ls -A /etc/agentfleet-test/web; ls -A /var/lib/agentfleet/.records"
    ).split()


def declared(stack: Stack) -> list[str]:
    """The words that `found_on` gives when everything is as declared."""
    return ["active", "enabled", "KEY=hush", "hello", "1", "key.env", stack.name]


def shell_of(stack: Stack) -> Shell:
    facts = lab.read(lab.nodes_of(stack.name)[0])
    assert facts
    return Shell(facts.__dict__)


def test_after_a_kill_at_any_point_the_next_up_completes_and_destroy_leaves_nothing(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(), NETWORK))
    started = time.monotonic()
    stack.up()
    whole_s = time.monotonic() - started
    stack.destroy()
    for point in range(POINTS):
        process = stack.start("up", "--yes", "--skip-preview", "--non-interactive")
        time.sleep(whole_s * (point + 0.5) / POINTS)
        stack.kill(process)
        stack.up()
        assert found_on(shell_of(stack)) == declared(stack), (
            f"after the kill at {point + 0.5}/{POINTS} of {whole_s:.1f} s"
        )
        stack.destroy()
        assert leftovers(stack) == [], f"after the kill at {point + 0.5}/{POINTS} of {whole_s:.1f} s"


def test_a_destroy_right_after_a_kill_leaves_nothing(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(bring_s=3), NETWORK))
    process = stack.start("up", "--yes", "--skip-preview", "--non-interactive")
    wait_for_output(process, "a site: working")
    stack.kill(process)
    stack.destroy()
    assert leftovers(stack) == []


def test_a_kill_while_a_folder_is_brought_does_not_stop_the_work(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(bring_s=4), NETWORK))
    process = stack.start("up", "--yes", "--skip-preview", "--non-interactive")
    wait_for_output(process, "a site: working")
    stack.kill(process)
    shell = shell_of(stack)
    running = shell.run("systemctl list-units --plain --no-legend 'agentfleet-bring-*'").split()[0]
    stack.up()
    assert found_on(shell) == declared(stack)
    assert shell.run(f"journalctl --quiet --output=cat --unit={running} | grep -c Started").strip() == "1"


def test_ctrl_c_once_ends_cleanly_and_the_next_up_goes_on(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(bring_s=4), NETWORK))
    process = stack.start("up", "--yes", "--skip-preview", "--non-interactive")
    wait_for_output(process, "a site: working")
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "Traceback" not in output
    assert "panic" not in output
    assert not list((Path(stack.folder) / ".pulumi" / "locks").rglob("*.json")), "the stack is still locked"
    stack.up()
    assert found_on(shell_of(stack)) == declared(stack)


def wait_for_output(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return
    pytest.fail(f"{words!r} never appeared in\n{''.join(seen)}")
