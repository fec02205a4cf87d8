"""What the provider promises about one service: failures keep their place, checks come first, the gate holds."""

from __future__ import annotations

import re
from dataclasses import replace

from provisioning import lab
from provisioning.state import Artifact, Gate, ServiceState
from support.pulumi_stacks import Stack
from support.small_service import KEY_PATH, SITE, UNIT, UNIT_PATH, on_lab_node, web
from support.waiting import wait_until


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


def with_another_site(script: str) -> ServiceState:
    """The small server from another folder, which this script brings."""
    service, site = web(), f"{SITE}-2"
    files = {path: replace(file, text=file.text.replace(SITE, site)) for path, file in service.files.items()}
    return replace(service, files=files, artifacts={site: Artifact("v2", "another site", script)})


def test_a_create_that_fails_is_in_the_state_mended_by_the_next_up_and_removed_by_destroy(
    stack: Stack,
) -> None:
    stack.declare(on_lab_node(stack, web(flags="--nonsense")))
    failed = stack.up(check=False)
    assert f"host n1: unit {UNIT} stopped" in failed.stdout
    assert "unrecognized arguments: --nonsense" in failed.stdout
    assert [one["initErrors"] for one in stack.resources("Service")] != [[]]
    stack.declare(on_lab_node(stack, web()))
    stack.up()
    shell = stack.shell()
    assert shell.run(f"systemctl is-active {UNIT}").strip() == "active"
    stack.declare({name: item for name, item in on_lab_node(stack, web()).items() if name != "web"})
    stack.up()
    assert shell.run(f"ls {UNIT_PATH} {KEY_PATH} {SITE} 2>/dev/null | wc -l").strip() == "0"


def test_the_gate_lets_pass_what_is_within_tolerance_and_reports_both_numbers(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, gated(950, 0.1)))
    stack.up()
    assert stack.outputs()["web"] == {"planned": 950, "measured": 1000, "of": "things"}
    stack.declare(on_lab_node(stack, gated(800, 0.1)))
    failed = stack.up(check=False)
    assert (
        "deploy gate: the plan promised 800 things, the engine reports 1,000 (+25.0 %, allowed 10 %); "
        "change the plan" in failed.stdout
    )
    assert stack.outputs()["web"]["planned"] == 950


def test_what_runs_is_left_alone_while_the_new_version_cannot_be_brought_and_goes_when_it_is_there(
    stack: Stack,
) -> None:
    stack.declare(on_lab_node(stack, web()))
    stack.up()
    shell, run = stack.shell(), f"systemctl show --value -p InvocationID {UNIT}"
    started = shell.run(run)
    broken = 'mkdir "$DESTINATION"; echo "looking"; echo "problem: no site today: come again"; exit 3'
    stack.declare(on_lab_node(stack, with_another_site(broken)))
    failed = stack.up(check=False)
    assert "host n1: bringing another site failed (exit 3): no site today: come again\n" in failed.stdout
    assert "(the previous version was left as it was)" in failed.stdout
    assert shell.run(run) == started
    whole = 'mkdir -p "$DESTINATION"; echo hello again >"$DESTINATION/index.html"'
    stack.declare(on_lab_node(stack, with_another_site(whole)))
    stack.up()
    assert shell.run("curl -s http://127.0.0.1:8000/index.html") == "hello again\n"
    assert shell.run("ls /opt/agentfleet-test").split() == ["site-2"]
    stack.declare({name: item for name, item in on_lab_node(stack, web()).items() if name != "web"})
    stack.up()
    assert shell.run("ls -A /opt") == ""


def test_what_a_first_start_missed_is_missed_again_until_it_is_mended(stack: Stack) -> None:
    resources = on_lab_node(stack, gated(800, 0.1))
    stack.declare(resources)
    for words in ((), ("--refresh",), ("--refresh",)):
        assert "deploy gate: the plan promised 800" in stack.up(*words, check=False).stdout
    host = next(item for item in resources.values() if item["kind"] == "Host")
    host["properties"]["requirements"] = {"memory_bytes": 1 << 60}
    stack.declare(resources)
    for _ in range(2):
        assert "of memory and needs" in stack.up("--refresh", check=False).stdout
    stack.declare(on_lab_node(stack, gated(950, 0.1)))
    stack.up("--refresh")
    assert stack.outputs()["web"]["measured"] == 1000


def test_every_wrong_input_is_named_before_anything_is_touched(stack: Stack) -> None:
    resources = on_lab_node(stack, web())
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
    stack.declare(on_lab_node(stack, web()))
    stack.up()
    stack.shell().run("systemctl poweroff --no-block")
    wait_until(lambda: not stack.node_facts().running, "the node is down")
    drift = stack.run("preview", "--refresh", "--diff").stdout
    assert re.search(r"~ running\s*: true => false", drift)
    assert re.search(r"~ reachable\s*: true => false", drift)
    stack.up("--refresh")
    assert stack.shell().run(f"systemctl is-active {UNIT}").strip() == "active"


def test_a_node_that_moves_to_another_address_is_replaced_with_all_that_stands_on_it(stack: Stack) -> None:
    stack.declare(on_lab_node(stack, web()))
    stack.up()
    stack.declare(on_lab_node(stack, web(), host=77))
    stack.up()
    shell = stack.shell()
    assert shell.address == stack.lab.address(77)
    assert shell.run(f"systemctl is-active {UNIT}").strip() == "active"
    assert len(lab.nodes_of(stack.name)) == 1
