"""A machine that is the operator's own: after destroy it is as it was, whatever we put there, installed or replaced."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from machine import Shell
from small import UNIT, UNIT_PATH, on_own_host, web
from stack import ROOT, Stack

from provisioning import lab
from provisioning.state import OnChange, RenderedFile, ServiceState

pytestmark = pytest.mark.node

NETWORK = "198.18.252"
LEFTOVERS = ROOT / "tools" / "leftovers"


@pytest.fixture
def own_host(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A machine that the stack under test did not make; how it is reached."""
    facts = lab.start(own_machine(tmp_path))
    yield {
        "name": "server",
        "address": facts.address,
        "port": 22,
        "user": "root",
        "host_key": facts.host_key,
        "identity_file": facts.identity_file,
        "ephemeral": False,
    }
    lab.sweep(own_machine(tmp_path).stack)


def own_machine(tmp_path: Path) -> lab.LabNodeState:
    """The lab node that plays the operator's machine in the test that has this folder."""
    stack = f"own-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    return lab.LabNodeState(stack, "server", f"{NETWORK}.0/24", f"{NETWORK}.20")


def snapshot(access: dict[str, Any], into: Path) -> Path:
    """Files, units, users, packages and firewall of the machine."""
    into.write_text(Shell(access).run("python3 - snapshot --node", stdin=LEFTOVERS.read_text()))
    return into


def compare(before: Path, after: Path) -> str:
    """What differs; empty when nothing does."""
    words = [str(LEFTOVERS), "compare", str(before), str(after)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def demanding_service() -> ServiceState:
    """Packages with daemons and users of their own, a replaced file, a firewall table, new folders."""
    service = web(packages=("nginx-light", "redis-server"))
    files = {
        "/etc/issue": RenderedFile("replaced by a test\n", on_change=OnChange.NOTHING),
        "/srv/agentfleet-test/deep/er/file": RenderedFile("x\n", on_change=OnChange.NOTHING),
    }
    return replace(service, files={**service.files, **files})


def test_after_destroy_the_machine_is_as_it_was(
    stack: Stack, own_host: dict[str, Any], tmp_path: Path
) -> None:
    Shell(own_host).run("apt-get -q update")
    before = snapshot(own_host, tmp_path / "before.json")
    stack.declare(on_own_host(stack, demanding_service(), own_host))
    stack.up()
    assert compare(before, snapshot(own_host, tmp_path / "between.json"))
    assert Shell(own_host).run("cat /etc/issue") == "replaced by a test\n"
    stack.destroy()
    assert compare(before, snapshot(own_host, tmp_path / "after.json")) == ""


def test_two_stacks_on_one_machine_leave_each_other_alone(
    stack: Stack, other_stack: Stack, own_host: dict[str, Any], tmp_path: Path
) -> None:
    Shell(own_host).run("apt-get -q update")
    before = snapshot(own_host, tmp_path / "before.json")
    mine, theirs = web(packages=("nginx-light",)), renamed(web(port=8001, packages=("nginx-light",)))
    stack.declare(on_own_host(stack, mine, own_host))
    other_stack.declare(on_own_host(other_stack, theirs, own_host))
    stack.up()
    other_stack.up()
    stack.destroy()
    assert Shell(own_host).run(
        "systemctl is-active theirs.service; dpkg-query -W -f '${db:Status-Status}' nginx-light"
    ).split() == ["active", "installed"]
    other_stack.destroy()
    assert compare(before, snapshot(own_host, tmp_path / "after.json")) == ""


def test_a_file_of_another_stack_is_refused(
    stack: Stack, other_stack: Stack, own_host: dict[str, Any]
) -> None:
    stack.declare(on_own_host(stack, web(), own_host))
    other_stack.declare(on_own_host(other_stack, web(port=8001), own_host))
    stack.up()
    refused = other_stack.up(check=False)
    assert f"host server: {UNIT_PATH} belongs to {stack.name}/web" in refused.stdout
    assert Shell(own_host).run(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_dead_machine_is_forgotten_only_when_the_operator_says_so(
    stack: Stack, own_host: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.declare(on_own_host(stack, web(), own_host))
    stack.up()
    lab.sweep(own_machine(tmp_path).stack)
    refused = stack.run("destroy", "--yes", "--skip-preview", "--non-interactive", check=False)
    assert refused.returncode != 0
    assert "run again with AGENTFLEET_FORGET_DEAD_HOSTS=1 to forget it" in refused.stdout
    monkeypatch.setenv("AGENTFLEET_FORGET_DEAD_HOSTS", "1")
    stack.destroy()
    resources = json.loads(stack.run("stack", "export").stdout)["deployment"].get("resources", [])
    assert resources == []


def renamed(service: ServiceState) -> ServiceState:
    """The same service with places of its own."""

    def theirs(text: str) -> str:
        return text.replace("agentfleet-test", "theirs").replace("fleet-test-web", "theirs")

    return replace(
        service,
        files={theirs(path): replace(file, text=theirs(file.text)) for path, file in service.files.items()},
        directories=tuple(theirs(path) for path in service.directories),
        artifacts={theirs(path): artifact for path, artifact in service.artifacts.items()},
        checks=tuple(tuple(theirs(word) for word in check) for check in service.checks),
        units={theirs(name): unit for name, unit in service.units.items()},
        ready=replace(service.ready, unit=theirs(service.ready.unit)) if service.ready else None,
    )


def test_a_user_with_sudo_can_do_all_that_root_can(
    stack: Stack, own_host: dict[str, Any], tmp_path: Path
) -> None:
    Shell(own_host).run(
        "useradd --create-home --shell /bin/bash ubuntu; cp -r /root/.ssh /home/ubuntu/.ssh; "
        "chown -R ubuntu:ubuntu /home/ubuntu/.ssh; echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/ubuntu"
    )
    before = snapshot(own_host, tmp_path / "before.json")
    stack.declare(on_own_host(stack, web(packages=("jq",)), {**own_host, "user": "ubuntu"}))
    stack.up()
    assert Shell(own_host).run(f"systemctl is-active {UNIT}").strip() == "active"
    stack.up("--refresh", "--expect-no-changes")
    stack.destroy()
    assert compare(before, snapshot(own_host, tmp_path / "after.json")) == ""
