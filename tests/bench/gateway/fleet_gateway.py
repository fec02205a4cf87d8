"""The fleet's own gateway on a lab node, converged as the provider does it, before replicas of the bench's choice."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.gateway.candidates import Candidate
from infra.plan import make_plan
from infra.plan.gateway import GatewayPlan, GatewayPool, GatewayReplica
from infra.plan.guards import GATEWAY, Guard
from infra.plan.read_models import read_models
from infra.render.firewall import firewall_service
from infra.render.nginx import nginx_service
from infra.spec import parse
from provisioning.converge.machine import Machine
from provisioning.converge.service import converge
from provisioning.converge.version import Version
from provisioning.ssh import Address, Connections
from support.lab_stacks import StartedNode
from support.traces import ROOT

API_KEY = "k" * 32
SPEC = ROOT / "stacks" / "stage2.fleet.yaml"


def start_fleet_gateway(
    node: StartedNode, port: int, servers: Mapping[str, str], max_num_seqs: int, **settings: Any
) -> Candidate:
    """Brings the gateway of stage 2 to the node, or brings the one that is there to other servers or `settings`.

    `servers` are replicas by name, as address:port; `max_num_seqs` is what each takes at once.
    """
    spec = parse(SPEC.read_text(), str(SPEC))
    plan = make_plan(spec, read_models(spec, Path()))
    assert plan.gateway
    here = node.facts.address
    gateway = replace(
        plan.gateway,
        address=here,
        listen_address=here,
        port=port,
        pools=(_pool(plan.gateway, servers, max_num_seqs),),
        **settings,
    )
    with Connections() as connections:
        way_in = node.facts
        address = Address(way_in.address, way_in.port, way_in.user, way_in.host_key, way_in.identity_file)
        machine = Machine("bench", connections.get(address), threading.RLock(), "bench", lambda _: None)
        firewall = firewall_service(plan, [Guard(GATEWAY, (port,), (node.state.network,))])
        converge(machine, Version(firewall, {}))
        converge(machine, Version(nginx_service(plan, gateway), {"apiKey": API_KEY}))
    return Candidate("agentfleet", f"{here}:{port}", f"{gateway.run_folder}/pid")


def _pool(gateway: GatewayPlan, servers: Mapping[str, str], max_num_seqs: int) -> GatewayPool:
    [pool] = gateway.pools
    replicas = []
    for name, server in servers.items():
        host, _, port = server.rpartition(":")
        replicas.append(GatewayReplica(name, host, int(port), pool.replicas[0].slots, max_num_seqs))
    return replace(pool, served_name="stand-in", replicas=tuple(replicas))
