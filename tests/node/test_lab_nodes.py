"""Lab nodes as their users meet them: they boot, reach each other, survive, change and go."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning import lab
from provisioning.errors import LabError
from provisioning.lab import commands
from provisioning.lab.folders import lab_dir
from provisioning.lab.local import run_as_root
from provisioning.lab.processes import Process, keepers_of, processes_of
from provisioning.places import cache_dir
from support.lab_stacks import LabStack, StartedNode
from support.traces import ROOT
from support.waiting import wait_until


def answers_on_ssh_port(node: StartedNode, address: str) -> bool:
    """Whether `node` gets the greeting of the sshd at `address`."""
    script = f"exec 3<>/dev/tcp/{address}/22 && head -c 7 <&3"
    return node.try_sh(f"timeout 2 bash -c '{script}'").stdout == "SSH-2.0"


def kill(processes: list[Process]) -> None:
    assert processes
    # One of them may end by itself when another does: that is no failure of the kill.
    run_as_root(commands.signal("KILL", [process.pid for process in processes]), check=False)


def test_a_node_is_a_machine_of_its_own(lab_node: StartedNode) -> None:
    assert lab_node.sh("hostname") == "node-1\n"
    assert lab_node.sh("systemctl is-system-running --wait || true") in ("running\n", "degraded\n")
    assert "nameserver" in lab_node.sh("cat /etc/resolv.conf")
    lab_node.sh("nft add table inet probe && nft delete table inet probe")  # its firewall is its own


def test_a_started_node_is_adopted_as_it_runs(lab_stack: LabStack, lab_node: StartedNode) -> None:
    lab_node.sh("touch /run/since-boot")
    again = lab_stack.start("node-1")
    assert again.facts == lab_node.facts
    again.sh("test -e /run/since-boot")


def test_nodes_of_a_stack_reach_each_other(lab_stack: LabStack) -> None:
    one, two = lab_stack.start("node-1"), lab_stack.start("node-2")
    assert answers_on_ssh_port(one, two.facts.address)
    assert answers_on_ssh_port(two, one.facts.address)
    assert one.facts.host_key != two.facts.host_key


def test_a_node_shows_only_its_own_host_key(lab_node: StartedNode) -> None:
    scan = subprocess.run(["ssh-keyscan", lab_node.facts.address], capture_output=True, text=True, check=True)
    shown = [line for line in scan.stdout.splitlines() if not line.startswith("#")]
    assert shown == [f"{lab_node.facts.address} {lab_node.facts.host_key}"]


def test_stacks_side_by_side_do_not_touch_each_other(lab_stack: LabStack, other_lab_stack: LabStack) -> None:
    one, other = lab_stack.start("node-1"), other_lab_stack.start("node-1")
    assert not answers_on_ssh_port(one, other.facts.address)
    lab.remove(one.state)
    assert lab.read(one.state) is None
    other.sh("true")


def test_stopping_a_service_in_one_node_leaves_it_alive_in_the_other(lab_stack: LabStack) -> None:
    one, two = lab_stack.start("node-1"), lab_stack.start("node-2")
    unit = "systemd-run --quiet --unit=probe sleep 300"
    one.sh(unit)
    two.sh(unit)
    one.sh("systemctl kill --signal=KILL probe")
    assert two.sh("systemctl is-active probe") == "active\n"


def test_a_node_that_reboots_comes_back_with_its_disk(lab_node: StartedNode) -> None:
    ask = "cat /proc/sys/kernel/random/boot_id"
    before = lab_node.sh(f"echo text > /root/kept; {ask}; systemctl reboot")

    def is_back() -> bool:
        answer = lab_node.try_sh(ask)
        return answer.returncode == 0 and answer.stdout != before

    wait_until(is_back, "the node is back from its reboot")
    assert lab_node.sh("cat /root/kept") == "text\n"


@pytest.mark.parametrize("all_of_it", [True, False], ids=["all of it", "its keepers only"])
def test_a_node_that_was_killed_is_read_as_stopped_and_started_with_its_disk(
    lab_stack: LabStack, lab_node: StartedNode, all_of_it: bool
) -> None:
    lab_node.sh("echo text > /root/kept; sync")
    machine = lab_stack.names.machine("node-1")
    killed = processes_of(machine)
    kill(killed if all_of_it else keepers_of(machine))
    dead = lab.read(lab_node.state)
    assert dead is not None
    assert not dead.running
    back = lab_stack.start("node-1")
    assert back.sh("cat /root/kept") == "text\n"
    assert back.facts == lab_node.facts
    assert not {process.pid for process in processes_of(machine)} & {process.pid for process in killed}


@pytest.mark.usefixtures("lab_node")
def test_a_node_that_lost_its_namespace_is_booted_again(lab_stack: LabStack) -> None:
    run_as_root(commands.delete_namespace(lab_stack.names.machine("node-1")))
    assert lab_stack.start("node-1").sh("hostname") == "node-1\n"


def test_new_settings_boot_the_node_again_with_its_disk(lab_stack: LabStack, lab_node: StartedNode) -> None:
    lab_node.sh("touch /root/kept")
    moved = lab_stack.address(77)
    again = lab_stack.start("node-1", address=moved)
    again.sh("test -e /root/kept")
    assert again.facts.address == moved
    assert not answers_on_ssh_port(again, lab_node.facts.address)


def test_a_folder_of_the_cache_is_shown_read_only(lab_stack: LabStack) -> None:
    inside_cache = str(lab.image_dir().relative_to(cache_dir().resolve()))
    node = lab_stack.start("node-1", binds={"/opt/agentfleet/engine": inside_cache})
    assert "bin" in node.sh("ls /opt/agentfleet/engine")
    assert "Read-only file system" in node.try_sh("touch /opt/agentfleet/engine/x").stderr


def test_another_public_key_may_log_in(lab_stack: LabStack, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    node = lab_stack.start("node-1", authorized_key=key.with_suffix(".pub").read_text().strip())
    guest = replace(node, facts=replace(node.facts, identity_file=str(key)))
    assert guest.sh("whoami") == "root\n"


def test_a_network_in_use_is_refused_and_leaves_nothing(
    lab_stack: LabStack, other_lab_stack: LabStack
) -> None:
    lab_stack.start("node-1")
    taken = {"network": lab_stack.network, "address": lab_stack.address(50)}
    with pytest.raises(
        LabError, match=rf"used .* by the lab of stack {lab_stack.name} .*nodes\.lab\.network"
    ):
        other_lab_stack.start("node-1", **taken)
    assert lab.read(other_lab_stack.state("node-1")) is None
    assert not (lab_dir() / other_lab_stack.name).exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": "no-such-release"}, "no image of no-such-release"),
        ({"binds": {"/opt/x": "no/such/folder"}}, r"no/such/folder, which is missing: run `make setup`"),
    ],
)
def test_what_is_missing_is_refused_before_anything_is_made(
    lab_stack: LabStack, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(LabError, match=message):
        lab_stack.start("node-1", **fields)
    assert lab.read(lab_stack.state("node-1")) is None


def test_another_image_needs_another_node(lab_stack: LabStack, lab_node: StartedNode) -> None:
    codename = lab.image_dir().name.partition("-")[0]
    with pytest.raises(LabError, match="made from another image: remove it"):
        lab_stack.start("node-1", image=codename)
    lab_node.sh("true")


def test_a_node_whose_record_is_damaged_can_be_swept(lab_stack: LabStack, lab_node: StartedNode) -> None:
    (lab_dir() / lab_stack.name / "node-1" / "record.json").write_text("{")
    with pytest.raises(LabError, match=f"sweep {lab_stack.name}"):
        lab.read(lab_node.state)
    assert lab.sweep(lab_stack.name) == ["node-1"]
    assert lab.read(lab_node.state) is None


def test_people_list_and_sweep_by_command(lab_stack: LabStack, lab_node: StartedNode) -> None:
    def command(*words: str) -> str:
        line = [sys.executable, "-m", "provisioning.lab", *words]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    [line] = [line for line in command("list").splitlines() if line.startswith(lab_stack.name)]
    assert "running" in line
    assert f"root@{lab_node.facts.address}" in line
    assert command("sweep", lab_stack.name) == f"removed {lab_stack.name}/node-1\n"
    assert lab_stack.name not in command("list")
