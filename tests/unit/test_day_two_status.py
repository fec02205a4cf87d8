"""`fleet status`: from recorded pages and statuses to rows, and the sentence for whatever is not well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from day_two_cases import GATEWAY, PAGE, UNIT, answers, inventory, member, outputs, replica, ring, status
from rich.console import Console

from infra.cli.day_two_tables import status_tables
from infra.day_two.inventory import inventory_output, read_inventory
from infra.day_two.metrics import info_number, sample_sum, sample_values
from infra.day_two.questions import questions
from infra.errors import FleetError
from infra.plan import make_plan
from infra.plan.read_models import read_models
from infra.spec import load
from provisioning.day_two.answers import Answer
from provisioning.errors import Unreachable


def shown(seen: Any) -> str:
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        console.print(status_tables(seen))
    return capture.get()


def row(seen: Any, name: str = "agents-0") -> Any:
    return next(item for item in (*seen.replicas, *seen.stores, seen.gateway) if item.name == name)


def test_numbers_of_a_recorded_page() -> None:
    assert sample_sum(PAGE, "vllm:num_requests_running") == 3.0
    assert sample_sum(PAGE, "vllm:prefix_cache_queries_total") == 2121.0
    assert sample_values(PAGE, "vllm:prefix_cache_queries") == ()
    assert sample_sum(PAGE, "vllm:no_such_metric") is None


@pytest.mark.parametrize(
    ("page", "values"),
    [
        ("x 1", (1.0,)),
        ("x{} 1 1700000000000", (1.0,)),
        ('x{a="}"} 2.5', (2.5,)),
        ('x{a="say \\"hi\\" } 9"} 1e3', (1000.0,)),
        ('x{engine="0"} 1\nx{engine="1"} 2', (1.0, 2.0)),
        ("x NaN", ()),
        ("x_total 1\n# x 1\nxx 3", ()),
        ('x{a="1"} one', ()),
    ],
)
def test_samples_whatever_their_labels(page: str, values: tuple[float, ...]) -> None:
    assert sample_values(page, "x") == values


def test_numbers_of_info() -> None:
    text = "# Memory\r\nused_memory:123\r\nused_memory_human:1K\r\nmaxmemory:0\r\n"
    assert info_number(text, "used_memory") == 123
    assert info_number(text, "maxmemory") == 0
    assert info_number(text, "evicted_keys") is None


def test_a_stack_that_is_well() -> None:
    seen = status()
    assert seen.well
    assert seen.problems == ()
    found = row(seen)
    assert (found.unit_state, found.ready, found.ring, found.sessions) == ("active (running)", True, "in", 12)
    assert (found.requests_running, found.requests_waiting, found.restarts) == (3, 0, 0)
    assert found.prefix_cache_hit_rate == pytest.approx(1536 / 2121)
    assert found.kv_cache_usage == pytest.approx(0.0568, abs=1e-4)
    gateway = row(seen, "gateway")
    assert (gateway.healthy, gateway.requests, gateway.keyless, gateway.spilled) == (True, 200, 6, 4)
    store = row(seen, "state")
    assert (store.memory_used_bytes, store.alarm, store.evicted) == (1_000_000, False, 0)


def test_ranks_of_one_engine_are_summed_and_the_fullest_cache_counts() -> None:
    page = PAGE.replace('engine="0"', 'engine="1"').replace("0.05675146771037187", "0.9")
    found = row(status(agents_0__metrics=Answer(0, PAGE + page)))
    assert (found.requests_running, found.kv_cache_usage) == (6, 0.9)


@pytest.mark.parametrize(
    ("changed", "name", "problem"),
    [
        pytest.param(
            {"agents_0__unit": Answer(0, UNIT.replace("=active", "=failed").replace("=running", "=failed"))},
            "agents-0",
            "its unit is failed (failed); `fleet logs demo agents-0` shows why",
            id="failed unit",
        ),
        pytest.param(
            {"agents_0__unit": Answer(0, "LoadState=not-found\nActiveState=inactive\nSubState=dead\n")},
            "agents-0",
            "its unit is not there: `make up STACK=demo` brings it back",
            id="unit away",
        ),
        pytest.param(
            {"agents_0__health": Answer(7, "curl: (7) Failed to connect to 198.18.7.12 port 8000\n\n000")},
            "agents-0",
            "does not answer /health (Failed to connect to 198.18.7.12 port 8000); "
            "`fleet logs demo agents-0` shows what it is doing",
            id="not ready",
        ),
        pytest.param(
            {"gateway__health": Answer(0, '{"unavailable": ["agents"]}\n503')},
            "gateway",
            'answers /health with 503: {"unavailable": ["agents"]}; `fleet logs demo gateway` shows what it is doing',
            id="no pool serves",
        ),
        pytest.param(
            {
                "gateway__ring": Answer(
                    0, ring(agents_0=member(ring="out", out_by="operator"), agents_1=member())
                )
            },
            "agents-0",
            "drained by an operator: `fleet undrain demo node-2` puts it in again",
            id="drained",
        ),
        pytest.param(
            {
                "gateway__ring": Answer(
                    0, ring(agents_0=member(ring="out", out_by="update"), agents_1=member())
                )
            },
            "agents-0",
            "left out by a change that did not end: `make up STACK=demo` goes on with it",
            id="left out",
        ),
        pytest.param(
            {"gateway__ring": Answer(0, ring(agents_0=member(healthy=False), agents_1=member()))},
            "agents-0",
            "the gateway could not reach it lately",
            id="unhealthy",
        ),
        pytest.param(
            {"gateway__ring": Answer(0, ring(agents_1=member()))},
            "agents-0",
            "the gateway says nothing of it, so it gets no requests that anybody knows of",
            id="unknown",
        ),
        pytest.param(
            {"gateway__ring": Answer(3, "no gateway of demo runs here")},
            "gateway",
            "its ring cannot be read: no gateway of demo runs here",
            id="no ring",
        ),
        pytest.param(
            {
                "state__alarm": Answer(
                    1, "<4>the store is 89 % full: raise it\n<4>the last snapshot failed: see\n"
                )
            },
            "state",
            "the store is 89 % full: raise it; the last snapshot failed: see",
            id="alarm",
        ),
        pytest.param(
            {"state__info": Answer(1, "Could not connect to Redis at 127.0.0.1:6379: Connection refused")},
            "state",
            "it does not say what it holds: Could not connect to Redis at 127.0.0.1:6379: Connection refused",
            id="silent store",
        ),
    ],
)
def test_what_is_not_well_says_so_and_what_to_do(changed: dict[str, Answer], name: str, problem: str) -> None:
    seen = status(**changed)
    assert not seen.well
    assert row(seen, name).problem == problem
    assert f"{name}: {problem}" in shown(seen)


def test_a_machine_that_does_not_answer_is_a_row_and_the_others_are_whole() -> None:
    error = Unreachable("node-2", "no answer from 198.18.7.12 port 22 within 8 s; check that it runs")
    seen = status(node_2=error)
    assert dict(seen.problems) == {
        "node-2": "host node-2: no answer from 198.18.7.12 port 22 within 8 s; check that it runs",
        "agents-0": "its machine does not answer",
    }
    found = row(seen)
    assert (found.unit_state, found.ready, found.requests_running) == (None, False, None)
    assert (found.ring, found.sessions) == ("in", 12)  # which the gateway knows
    assert row(seen, "agents-1").ready


def test_without_the_gateways_machine_its_replicas_are_still_looked_at() -> None:
    seen = status(node_1=Unreachable("node-1", "gone"))
    assert row(seen).ready
    assert row(seen).ring is None
    assert not row(seen, "gateway").healthy


def test_with_litellm_before_the_gateway_both_must_run() -> None:
    of = inventory(gateway={**GATEWAY, "kind": "litellm", "front_unit": "agentfleet-demo-litellm"})
    assert of.units()["litellm"] == ("node-1", "agentfleet-demo-litellm.service")
    assert status(of).well
    failed = UNIT.replace("=active", "=failed").replace("=running", "=failed")
    problem = "its unit is failed (failed); `fleet logs demo litellm` shows why"
    assert row(status(of, litellm__unit=Answer(0, failed)), "gateway").problem == problem


def test_a_fleet_without_a_gateway_has_no_ring() -> None:
    seen = status(inventory(gateway=None, state=None))
    assert seen.well
    assert seen.to_dict()["gateway"] is None
    assert "-/30" in shown(seen)


def test_the_keys_for_scripts_are_stable() -> None:
    """They are documented in docs/operating.md: add, never rename."""
    found = json.loads(json.dumps(status().to_dict()))
    assert list(found) == ["stack", "well", "machines", "replicas", "gateway", "stores"]
    assert found["machines"][0] == {"name": "node-1", "problem": None}
    assert list(found["replicas"][0]) == [
        *(
            "name",
            "pool",
            "node",
            "unit",
            "unit_state",
            "ready",
            "ring",
            "out_by",
            "healthy",
            "sessions",
            "slots",
        ),
        *("requests_running", "requests_waiting", "kv_cache_usage", "kv_tokens", "prefix_cache_hit_rate"),
        *("ring_share", "restarts", "problem"),
    ]
    assert list(found["gateway"]) == [
        *("name", "kind", "node", "unit", "base_url", "unit_state", "healthy"),
        *("requests", "keyless", "spilled", "restarts", "problem"),
    ]
    assert list(found["stores"][0]) == [
        *("name", "node", "unit", "unit_state", "memory_used_bytes", "memory_max_bytes", "alarm", "evicted"),
        *("restarts", "problem"),
    ]


def test_tables_show_a_row_each() -> None:
    text = shown(status())
    assert (
        "agents-0  node-2  running  yes    in      50%     12/30        3        0  6%   72%         0"
        in text
    )
    assert "all well" in text


def test_a_machine_without_services_is_asked_nothing_and_still_counts() -> None:
    of = inventory(replicas=[replica(0)])
    assert questions(of)["node-3"] == ()
    assert not status(
        of, node_3=Unreachable("node-3", "gone"), gateway__ring=Answer(0, ring(agents_0=member()))
    ).well
    assert answers(of)["node-3"] == ()


def test_outputs_of_a_stack_that_was_never_up_or_by_another_version() -> None:
    with pytest.raises(
        FleetError,
        match=r"stack demo has no inventory among its outputs: a `make up STACK=demo` that ends well",
    ):
        read_inventory("demo", {})
    old = outputs(replicas=[{"name": "agents-0"}])
    with pytest.raises(FleetError, match=r"brought up by another version of agentfleet \(KeyError\('pool'\)"):
        read_inventory("demo", old)


def test_the_output_is_read_as_it_was_written() -> None:
    path = Path(__file__).parents[2] / "stacks" / "stage2.fleet.yaml"
    spec = load(path)
    plan = make_plan(spec, read_models(spec, path.parent))
    connection = {
        "name": "x",
        "address": "198.18.7.9",
        "port": 22,
        "user": "root",
        "host_key": "ssh-ed25519 AAAA",
        "identity_file": "/keys/id",
        "ephemeral": True,
    }
    written = inventory_output("s", plan, {node.name: connection for node in plan.nodes})
    found = read_inventory("s", {"inventory": json.loads(json.dumps(written))})
    assert list(found.machines) == ["node-1", "node-2", "node-3", "node-4"]
    assert found.machines["node-2"].host_key == "ssh-ed25519 AAAA"
    assert [item.name for item in found.replicas_on("node-2")] == ["agents-0"]
    assert found.units()["gateway"] == ("node-1", "agentfleet-stage2-gateway.service")
    assert found.gateway is not None
    assert found.gateway.rotate == "/etc/agentfleet/stage2/gateway/rotate"
