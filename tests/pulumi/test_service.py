"""What the provider promises about one service: failures keep their place, checks come first, the gate holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from machine import Shell
from small import KEY_PATH, SITE, UNIT, UNIT_PATH, on_lab_node, web
from stack import Stack

from provisioning import lab
from provisioning.state import Artifact, Gate, ServiceState

pytestmark = pytest.mark.node

NETWORK = "198.18.253"


def shell_of(stack: Stack) -> Shell:
    facts = lab.read(lab.nodes_of(stack.name)[0])
    assert facts
    return Shell(facts.__dict__)


def gated(planned: int, tolerance: float) -> ServiceState:
    """The small server with a page of metrics that says 1000."""
    page = 'x_info{size="1000",other="7"} 1.0'
    script = (
        f'mkdir -p "$DESTINATION"; echo \'{page}\' | tee "$DESTINATION/metrics" >"$DESTINATION/index.html"'
    )
    gate = Gate(
        "http://127.0.0.1:8000/metrics", "x_info", "size", planned, tolerance, "things", "change the plan"
    )
    return replace(web(), artifacts={SITE: Artifact("metrics", "a page", script)}, gate=gate)


def test_a_create_that_fails_is_in_the_state_mended_by_the_next_up_and_removed_by_destroy(
    stack: Stack,
) -> None:
    stack.declare(on_lab_node(stack, web(flags="--nonsense"), NETWORK))
    failed = stack.up(check=False)
    assert f"host n1: unit {UNIT} stopped" in failed.stdout
    assert "unrecognized arguments: --nonsense" in failed.stdout
    exported = json.loads(stack.run("stack", "export").stdout)["deployment"]["resources"]
    assert any(resource["type"] == "fleet:index:Service" and resource["initErrors"] for resource in exported)
    stack.declare(on_lab_node(stack, web(), NETWORK))
    stack.up()
    shell = shell_of(stack)
    assert shell.run(f"systemctl is-active {UNIT}").strip() == "active"
    stack.declare({name: item for name, item in on_lab_node(stack, web(), NETWORK).items() if name != "web"})
    stack.up()
    assert shell.run(f"ls {UNIT_PATH} {KEY_PATH} {SITE} 2>/dev/null | wc -l").strip() == "0"


def test_the_gate_lets_pass_what_is_within_tolerance_and_reports_both_numbers(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, gated(950, 0.1), NETWORK))
    stack.up()
    assert stack.outputs()["web"] == {"planned": 950, "measured": 1000, "of": "things"}
    stack.declare(on_lab_node(stack, gated(800, 0.1), NETWORK))
    failed = stack.up(check=False)
    assert (
        "deploy gate: the plan promised 800 things, the engine reports 1,000 (+25.0 %, allowed 10 %); "
        "change the plan" in failed.stdout
    )
    assert stack.outputs()["web"]["planned"] == 950


def test_every_wrong_input_is_named_before_anything_is_touched(stack: Stack) -> None:
    resources = on_lab_node(stack, web(), NETWORK)
    files = resources["web"]["properties"]["files"]
    files[KEY_PATH]["mode"] = "0644"
    files["relative/path"] = {**files[UNIT_PATH], "text": "${secret:unknown}"}
    stack.declare(resources)
    failed = stack.run("preview", check=False).stdout
    assert f'files["{KEY_PATH}"].mode' in failed
    assert 'must be "0600": the file holds a secret' in failed
    assert "must be an absolute path without spaces" in failed
    assert "asks for the secret unknown, which is not given" in failed
    assert lab.nodes_of(stack.name) == []


def test_a_node_that_died_is_named_by_refresh_and_booted_again_with_its_services(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(), NETWORK))
    stack.up()
    shell_of(stack).run("systemctl poweroff --no-block")
    while (facts := lab.read(lab.nodes_of(stack.name)[0])) and facts.running:
        pass
    drift = stack.run("preview", "--refresh", "--diff").stdout
    assert re.search(r"~ running\s*: true => false", drift)
    assert re.search(r"~ reachable\s*: true => false", drift)
    stack.up("--refresh")
    assert shell_of(stack).run(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_node_that_moves_to_another_address_is_replaced_with_all_that_stands_on_it(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web(), NETWORK))
    stack.up()
    moved = on_lab_node(stack, web(), NETWORK)
    moved["n1"]["properties"]["address"] = f"{NETWORK}.77"
    stack.declare(moved)
    stack.up()
    shell = shell_of(stack)
    assert shell.connection["address"] == f"{NETWORK}.77"
    assert shell.run(f"systemctl is-active {UNIT}").strip() == "active"
    assert len(lab.nodes_of(stack.name)) == 1
