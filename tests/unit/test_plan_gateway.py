"""The gateway: where it stands, what it knows of the replicas, and whom the firewalls let through."""

from __future__ import annotations

from typing import Any

import pytest
from plan_specs import LAB, flag, host, notes, plan, rented

from infra.plan import FleetPlan
from infra.plan.guards import Guard, guards_on

NGINX = {"kind": "nginx"}
TWO_POOLS: dict[str, Any] = {
    "workload": {"topology": "hierarchical", "agents": 4, "workflows": 2, "context_tokens": 1024},
    "pools": {
        "leads": {"model": "agent", "role": "orchestrator", "nodes": ["node-2"], "port": 8000},
        "hands": {
            "model": "agent",
            "role": "worker",
            "replicas": 2,
            "nodes": ["node-2", "node-3"],
            "port": 8100,
        },
    },
}


def lab(count: int, **parts: Any) -> FleetPlan:
    return plan(LAB, **{"gateway": NGINX, "nodes": {"source": "lab", "lab": {"count": count}}, **parts})


def guards(made: FleetPlan) -> dict[str, tuple[Guard, ...]]:
    """Those with ports; a kind that has none yet has clients all the same."""
    return {node.name: tuple(guard for guard in guards_on(made, node) if guard.ports) for node in made.nodes}


def test_without_a_gateway_clients_reach_the_replicas() -> None:
    made = plan(LAB)
    assert made.gateway is None
    assert made.endpoint == f"{made.replicas[0].base_url}/v1"
    assert guards(made) == {"node-1": (Guard("engines", (8000,), made.clients),)}


@pytest.mark.parametrize(
    ("count", "gateway", "node", "why"),
    [
        (2, NGINX, "node-2", "the first node that carries no replica"),
        (1, NGINX, "node-1", "every node carries a replica, so the first one"),
        (3, {"kind": "nginx", "node": "node-3"}, "node-3", "fixed in the spec"),
    ],
)
def test_a_gateway_prefers_a_node_without_engines(
    count: int, gateway: dict[str, Any], node: str, why: str
) -> None:
    made = lab(count, gateway=gateway)
    assert made.gateway
    assert made.gateway.node == node
    assert (made.gateway.decisions[0].value, made.gateway.decisions[0].reason) == (node, why)
    assert made.endpoint == f"http://{made.gateway.address}:8080/v1"


def test_engines_behind_a_gateway_are_open_for_it_alone() -> None:
    made = lab(2)
    gateway = next(node for node in made.nodes if node.name == "node-2")
    assert guards(made) == {
        "node-1": (Guard("engines", (8000,), (gateway.listen_address,)),),
        "node-2": (Guard("gateway", (8080,), made.clients),),
    }


def test_what_the_plan_moves_from_a_node_keeps_its_clients_there_until_it_has_moved() -> None:
    made = lab(2)
    gateway = next(node for node in made.nodes if node.name == "node-2")
    assert guards_on(made, gateway)[0] == Guard("engines", (), (gateway.listen_address,))
    assert guards_on(made, made.nodes[0])[1] == Guard("gateway", (), made.clients)


def test_a_node_without_services_has_no_guards() -> None:
    assert guards(lab(3))["node-3"] == guards_on(lab(3), lab(3).nodes[2]) == ()


def test_the_gateway_knows_every_pool_and_puts_the_orchestrators_first() -> None:
    made = lab(3, **TWO_POOLS)
    assert made.gateway
    assert made.gateway.front_pool == "leads"
    pools = {pool.name: pool for pool in made.gateway.pools}
    assert [replica.name for replica in pools["hands"].replicas] == ["hands-0", "hands-1"]
    assert {replica.max_num_seqs for replica in pools["hands"].replicas} == {
        int(flag(made, "--max-num-seqs", replica=1) or 0)
    }
    assert made.endpoint.startswith(made.gateway.base_url)


def test_machines_behind_nat_meet_at_their_own_addresses() -> None:
    hosts = [host("gpu-1", listen_address="10.0.0.7"), host("gate", "cpu", 1, listen_address="10.0.0.9")]
    made = rented(
        *hosts, gateway=NGINX, pools={"agents": {"model": "agent", "role": "agent", "nodes": ["gpu-1"]}}
    )
    assert made.gateway
    assert {replica.address for replica in made.gateway.pools[0].replicas} == {"10.0.0.7"}
    assert guards(made)["gpu-1"][0].clients == ("10.0.0.9",)
    assert made.gateway.base_url == f"http://{hosts[1]['address']}:8080"


def test_a_gateways_machine_is_paid_for_and_is_not_called_idle() -> None:
    hosts = [host("gpu-1", price_per_hour=2.0), host("gate", "cpu", 1, price_per_hour=0.05)]
    pools = {"agents": {"model": "agent", "role": "agent", "nodes": ["gpu-1"]}}
    made = rented(*hosts, gateway=NGINX, pools=pools)
    assert made.cost_per_hour == 16.05
    assert not [note for note in notes(made, "warning") if "carries nothing" in note]


@pytest.mark.parametrize(("kind", "scheme"), [("none", "http"), ("generated", "https")])
def test_the_endpoint_speaks_tls_where_the_gateway_does(kind: str, scheme: str) -> None:
    assert lab(2, gateway={"kind": "nginx", "tls": {"kind": kind}}).endpoint.startswith(f"{scheme}://")
