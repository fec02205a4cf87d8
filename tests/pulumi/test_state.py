"""A state store under Pulumi's engine: no drift, data that a destroy refuses to take, and nothing left when it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.render import render
from provisioning.converge.data import VARIABLE
from support.lab_stacks import LabStack, StartedNode
from support.pulumi_stacks import Stack
from support.small_service import on_own_host, service_on
from support.snapshots import differences, snapshot_of
from support.state_lab import state_plan
from support.state_secrets import STATE_SECRETS
from tools.stack.data import data_services


@pytest.fixture
def own_host(lab_node: StartedNode) -> StartedNode:
    """A lab node plays the machine that no stack made. Tests ask for it first, so that it outlives their stacks."""
    return lab_node


def test_data_outlives_changes_and_a_destroy_without_the_operators_word(
    own_host: StartedNode, stack: Stack, lab_stack: LabStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_host.sh("apt-get -q update")
    before = snapshot_of(own_host.shell, tmp_path / "before.json")

    def declare(maxmemory: str) -> None:
        plan = state_plan({"server": own_host}, lab_stack.network, maxmemory=maxmemory)
        firewall, store = (render(plan)["server"][name] for name in ("firewall", "state"))
        host = on_own_host(stack, firewall, own_host, secrets={})
        after = {**service_on(stack, "h1", store, STATE_SECRETS), "after": ["web"]}
        stack.declare({**host, "state": after})

    cli = "/etc/agentfleet/shop/state/cli"
    declare("64MiB")
    stack.up()
    stack.up("--refresh", "--expect-no-changes")
    own_host.sh(f"printf 'MULTI\\nSET flow:1 kept\\nLPUSH thread:1 x\\nEXEC\\n' | {cli}")
    declare("96MiB")
    stack.up()
    assert own_host.sh(f"{cli} GET flow:1; {cli} LLEN thread:1; {cli} CONFIG GET maxmemory").split() == [
        *("kept", "1", "maxmemory", str(96 * 2**20))
    ]
    assert data_services(stack.run("stack", "export").stdout) == ("state on server",)

    refused = stack.destroy(check=False)
    assert refused.returncode != 0
    held = "host server: /var/lib/agentfleet-shop-state holds the data of state, which would be lost"
    assert f"{held}: back it up, then run again with AGENTFLEET_DELETE_DATA={stack.name}" in refused.stdout
    assert own_host.sh(f"{cli} GET flow:1").strip() == "kept"
    assert [item["outputs"]["name"] for item in stack.resources("Service")] == ["firewall", "state"]

    monkeypatch.setenv(VARIABLE, stack.name)
    stack.destroy()
    assert differences(before, snapshot_of(own_host.shell, tmp_path / "after.json")) == []
