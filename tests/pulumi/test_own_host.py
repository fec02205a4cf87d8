"""A machine that is the operator's own: after destroy it is as it was, whatever we put there, installed or replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioning import lab
from provisioning.state import OnChange, RenderedFile, ServiceState
from support.lab_stacks import StartedNode
from support.pulumi_stacks import UP, Stack
from support.small_service import KEY_PATH, UNIT, UNIT_PATH, on_own_host, renamed, web
from support.snapshots import differences, snapshot_of
from support.waiting import wait_for_output, wait_until

DAEMONS = ("nginx-light", "redis-server", "haproxy")
"""Packages that start and enable a unit of their own, for everybody to reach."""

STATES = (
    "systemctl is-active nginx redis-server haproxy; systemctl is-enabled nginx redis-server haproxy; true"
)
IDLE = ["inactive"] * 3 + ["disabled"] * 3


@pytest.fixture
def own_host(lab_node: StartedNode) -> StartedNode:
    """A lab node plays the machine that no stack made. Tests ask for it first, so that it outlives their stacks."""
    return lab_node


def demanding_service() -> ServiceState:
    """Packages with daemons and users of their own, a replaced file, a firewall table, new folders."""
    service = web(packages=DAEMONS)
    files = {
        "/etc/issue": RenderedFile("replaced by a test\n", on_change=OnChange.NOTHING),
        "/srv/agentfleet-test/deep/er/file": RenderedFile("x\n", on_change=OnChange.NOTHING),
    }
    return replace(service, files={**service.files, **files})


def test_after_destroy_the_machine_is_as_it_was(own_host: StartedNode, stack: Stack, tmp_path: Path) -> None:
    own_host.sh("apt-get -q update")
    before = snapshot_of(own_host.shell, tmp_path / "before.json")
    stack.declare(on_own_host(stack, demanding_service(), own_host))
    stack.up()
    assert differences(before, snapshot_of(own_host.shell, tmp_path / "between.json")) != []
    assert own_host.sh("cat /etc/issue") == "replaced by a test\n"
    assert own_host.sh(STATES).split() == IDLE
    stack.destroy()
    assert differences(before, snapshot_of(own_host.shell, tmp_path / "after.json")) == []


def test_what_the_operator_runs_goes_on_running_and_what_he_enables_stays_enabled(
    own_host: StartedNode, stack: Stack, tmp_path: Path
) -> None:
    own_host.sh("apt-get -q update; apt-get -q -y install --no-install-recommends nginx-light")
    before = snapshot_of(own_host.shell, tmp_path / "before.json")
    run = "systemctl show --value -p InvocationID nginx"
    started = own_host.sh(run)
    stack.declare(on_own_host(stack, web(packages=DAEMONS), own_host))
    stack.up()
    assert own_host.sh(STATES).split() == ["active", *IDLE[1:3], "enabled", *IDLE[4:]]
    own_host.sh("systemctl enable --now redis-server")
    stack.up("--refresh", "--expect-no-changes")
    stack.declare(on_own_host(stack, web(flags="--protocol HTTP/1.1", packages=DAEMONS), own_host))
    stack.up()
    assert own_host.sh(STATES).split()[:2] == ["active", "active"]
    stack.destroy()
    assert own_host.sh(run) == started
    assert differences(before, snapshot_of(own_host.shell, tmp_path / "after.json")) == []


def test_packages_whose_install_was_killed_are_idle_after_the_next_up(
    own_host: StartedNode, stack: Stack, tmp_path: Path
) -> None:
    own_host.sh("apt-get -q update")
    before = snapshot_of(own_host.shell, tmp_path / "before.json")
    stack.declare(on_own_host(stack, web(packages=DAEMONS), own_host))
    process = stack.start(*UP)
    wait_for_output(process, "packages: nginx-light")
    wait_until(lambda: "redis" in own_host.sh("cat /etc/passwd"), "an install is in its middle")
    stack.kill(process)
    stack.unlock()
    stack.up()
    assert own_host.sh(STATES).split() == IDLE
    stack.destroy()
    assert differences(before, snapshot_of(own_host.shell, tmp_path / "after.json")) == []


def test_two_stacks_on_one_machine_leave_each_other_alone(
    own_host: StartedNode, stack: Stack, other_stack: Stack, tmp_path: Path
) -> None:
    own_host.sh("apt-get -q update")
    before = snapshot_of(own_host.shell, tmp_path / "before.json")
    mine, theirs = (
        web(packages=("nginx-light",)),
        renamed(web(port=8001, packages=("nginx-light",)), "theirs"),
    )
    stack.declare(on_own_host(stack, mine, own_host))
    other_stack.declare(on_own_host(other_stack, theirs, own_host))
    stack.up()
    other_stack.up()
    stack.destroy()
    assert own_host.sh(
        "systemctl is-active theirs.service; dpkg-query -W -f '${db:Status-Status}' nginx-light"
    ).split() == ["active", "installed"]
    other_stack.destroy()
    assert differences(before, snapshot_of(own_host.shell, tmp_path / "after.json")) == []


def test_a_file_of_another_stack_is_refused(own_host: StartedNode, stack: Stack, other_stack: Stack) -> None:
    stack.declare(on_own_host(stack, web(), own_host))
    other_stack.declare(on_own_host(other_stack, web(port=8001), own_host))
    stack.up()
    refused = other_stack.up(check=False)
    owner = f"belongs to {stack.name}/web"
    assert f"host server: {KEY_PATH} {owner}, {UNIT_PATH} {owner}: two services" in refused.stdout
    assert own_host.sh(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_dead_machine_is_forgotten_only_when_the_operator_says_so(
    own_host: StartedNode, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.declare(on_own_host(stack, web(), own_host))
    stack.up()
    lab.remove(own_host.state)
    refused = stack.destroy(check=False)
    assert refused.returncode != 0
    assert "run again with AGENTFLEET_FORGET_DEAD_HOSTS=1 to forget it" in refused.stdout
    monkeypatch.setenv("AGENTFLEET_FORGET_DEAD_HOSTS", "1")
    stack.destroy()
    assert stack.resources() == []


def test_a_user_with_sudo_can_do_all_that_root_can(
    own_host: StartedNode, stack: Stack, tmp_path: Path
) -> None:
    own_host.sh(
        "useradd --create-home --shell /bin/bash ubuntu; cp -r /root/.ssh /home/ubuntu/.ssh; "
        "chown -R ubuntu:ubuntu /home/ubuntu/.ssh; echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/ubuntu"
    )
    before = snapshot_of(own_host.shell, tmp_path / "before.json")
    stack.declare(on_own_host(stack, web(packages=("jq",)), own_host, user="ubuntu"))
    stack.up()
    assert own_host.sh(f"systemctl is-active {UNIT}").strip() == "active"
    stack.up("--refresh", "--expect-no-changes")
    stack.destroy()
    assert differences(before, snapshot_of(own_host.shell, tmp_path / "after.json")) == []
