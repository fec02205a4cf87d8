"""Cases that need a computer to themselves: run in fresh network, mount and process namespaces by test_lab_computer.py.

Nothing else has networks, firewall tables, processes or a /run here, so that "leaves nothing" can be checked exactly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning import lab
from provisioning.places import state_dir
from support.lab_stacks import LabStack, swept_lab_stack
from support.snapshots import differences, snapshot_here
from support.traces import traces_of

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def run(*words: str, stdin: str = "") -> str:
    return subprocess.run(words, input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout


def forwarding() -> bool:
    return IP_FORWARD.read_text() == "1\n"


@contextmanager
def leaves_nothing(stack: LabStack) -> Iterator[None]:
    """What stands after the block is what stood before it; others use the real computer's control groups and state."""
    folder = Path(tempfile.mkdtemp())
    before = snapshot_here(folder / "before")
    yield
    after = snapshot_here(folder / "after")
    left = differences(before, after, "files: /var/lib/agentfleet*", "control groups: *")
    left += traces_of(stack.name)
    assert left == [], "\n".join(left)
    assert os.listdir(state_dir() / "lab") == ["id_ed25519"]


def removal_leaves_nothing(stack: LabStack) -> None:
    with leaves_nothing(stack):
        nodes = [stack.start("node-1"), stack.start("node-2")]
        nodes[0].sh("dd if=/dev/zero of=/root/file bs=1M count=20 status=none; nft add table inet mine")
        for node in nodes:
            lab.remove(node.state)


def sweep_leaves_nothing(stack: LabStack) -> None:
    with leaves_nothing(stack):
        stack.start("node-1")
        stack.start("node-2")
        lab.sweep(stack.name)


def last_lab_of_the_computer_turns_forwarding_off(stack: LabStack) -> None:
    with swept_lab_stack() as other:
        one, two = stack.start("node-1"), other.start("node-1")
        assert forwarding()
        lab.remove(one.state)
        assert forwarding()
        lab.remove(two.state)
        assert not forwarding()


def forwarding_that_was_on_stays_on(stack: LabStack) -> None:
    IP_FORWARD.write_text("1\n")
    lab.remove(stack.start("node-1").state)
    assert forwarding()


def firewalls_of_others_are_not_touched(stack: LabStack) -> None:
    chain = "chain FORWARD { type filter hook forward priority filter; policy drop; }"
    run("nft", "-f", "-", stdin=f"table ip filter {{\n{chain}\n}}\n")
    before = run("nft", "list", "ruleset")
    said: list[str] = []
    lab.start(stack.state("node-1"), said.append)
    assert any("table 'ip filter'" in line and "drops forwarded packets" in line for line in said)
    lab.remove(stack.state("node-1"))
    assert run("nft", "list", "ruleset") == before


def start_mends_a_network_that_somebody_broke(stack: LabStack) -> None:
    node = stack.start("node-1")
    run("nft", "flush", "ruleset")
    [bridge] = [
        link["ifname"] for link in json.loads(run("ip", "-j", "link", "show", "type", "bridge")) if link
    ]
    run("ip", "link", "delete", "dev", bridge)
    broken = lab.read(node.state)
    assert broken is not None
    assert not broken.running
    assert stack.start("node-1").facts == node.facts
    assert "masquerade" in run("nft", "list", "ruleset")
    lab.remove(node.state)


def nodes_reach_the_world_as_this_computer_and_the_world_not_them(stack: LabStack) -> None:
    run("ip", "netns", "add", "world")
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", "world")
    run("ip", "address", "add", "203.0.113.1/24", "dev", "uplink")
    run("ip", "link", "set", "uplink", "up")
    run("ip", "-n", "world", "address", "add", "203.0.113.2/24", "dev", "eth0")
    run("ip", "-n", "world", "link", "set", "eth0", "up")
    run("ip", "-n", "world", "route", "add", "default", "via", "203.0.113.1")
    who = "import socket; s = socket.create_server(('', 80)); print(flush=True); print(s.accept()[1][0])"
    server = subprocess.Popen(
        ["ip", "netns", "exec", "world", sys.executable, "-c", who], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    server.stdout.readline()  # it listens
    node = stack.start("node-1")
    node.sh("bash -c ': </dev/tcp/203.0.113.2/80'")
    assert server.communicate(timeout=10)[0] == "203.0.113.1\n"
    knock = [
        "ip",
        "netns",
        "exec",
        "world",
        "timeout",
        "1",
        "bash",
        "-c",
        f": </dev/tcp/{node.facts.address}/22",
    ]
    assert subprocess.run(knock, capture_output=True, check=False).returncode != 0
    lab.remove(node.state)


def drop_labs_of_others() -> None:
    """This mount namespace began as a copy of the real computer's, whose labs come and go."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, labs = line.split()[4], (" - overlay agentfleet-lab ", " - nsfs nsfs ")
        if any(lab_mount in line for lab_mount in labs):
            subprocess.run(
                ["umount", "--lazy", place], capture_output=True, check=False
            )  # it may just have gone


def main(case: str) -> None:
    """Makes this process's namespaces a computer of its own, and runs the case in it."""
    drop_labs_of_others()
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder in (
        "/run/mount",
        "/run/systemd",
    ):  # what mount and systemd-nspawn make once and every computer has
        Path(folder).mkdir()
    run("ip", "link", "set", "lo", "up")
    IP_FORWARD.write_text("0\n")
    with swept_lab_stack() as stack:
        globals()[case](stack)


if __name__ == "__main__":
    main(sys.argv[1])
