"""The product's own gateway on a lab node, before stand-in engines on this computer."""

from __future__ import annotations

import dataclasses
import http.client
import json
import ssl
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from infra.plan.authority import CA_SECRET, ca_name
from infra.plan.fleet_plan import FleetPlan
from infra.plan.gateway import GatewayPlan, GatewayPool, GatewayReplica, TlsPlan
from infra.plan.guards import GATEWAY, Guard
from infra.render.firewall import firewall_service
from infra.render.nginx import nginx_service
from provisioning.converge.machine import Machine
from provisioning.converge.service import converge
from provisioning.converge.version import Version
from support.lab_stacks import StartedNode
from support.stand_in_engine import StandInEngine
from tools.stack.generated import new_secret
from tools.stack.trust import ca_certificate

FLEET = "lab"
KEY = "k" * 32
SECOND_KEY = 'second "key" \\ with what JSON would have to escape'
ENGINE_LIMIT = 4
"""max_num_seqs of a replica, unless a test says otherwise."""

_NAMED = cast("FleetPlan", SimpleNamespace(name=FLEET))
LIMIT_S = 60
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Answer:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def replica(self) -> str:
        """Which replica gave it, empty where the gateway itself did."""
        return self.headers.get("x-fleet-replica", "")

    @property
    def error(self) -> dict[str, Any]:
        """The error, in the shape of OpenAI's API."""
        assert self.headers["content-type"] == "application/json", self.body
        found: dict[str, Any] = json.loads(self.body)["error"]
        assert set(found) == {"message", "type", "param", "code"}
        return found


@dataclass
class Gateway:
    """The gateway on its node; `plan` is what stands there."""

    node: StartedNode
    machine: Machine
    engines: Sequence[StandInEngine]
    plan: GatewayPlan
    ca_key: str = field(default_factory=lambda: new_secret(CA_SECRET))
    clients: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64))

    def deploy(self, **changes: Any) -> None:
        """Bring the gateway to the plan with these changes, as the provider would."""
        self.plan = dataclasses.replace(self.plan, **changes)
        firewall = firewall_service(_NAMED, [Guard(GATEWAY, (self.plan.port,), (self.node.state.network,))])
        converge(self.machine, Version(firewall, {}))
        converge(self.machine, self.version)

    @property
    def version(self) -> Version:
        """What the plan says now."""
        secrets = {"apiKey": KEY, "second": SECOND_KEY, CA_SECRET: self.ca_key}
        return Version(nginx_service(_NAMED, self.plan), secrets)

    def start_afresh(self, plan: GatewayPlan) -> None:
        """This plan, all engines up and nothing remembered."""
        for engine in self.engines:
            engine.release()
            engine.kill()
            engine.start()
            engine.asked.clear()
            engine.cancelled = 0
        if self.plan != plan:
            self.plan = plan
            self.deploy()
        self.node.sh(
            f"systemctl stop {plan.unit}; rm -f /var/lib/{plan.unit}/out/*; systemctl start {plan.unit}"
        )
        self.rotate("status")  # waits for it

    def engine_of(self, replica: str) -> StandInEngine:
        """The engine behind a replica's name."""
        return self.engines[int(replica.rpartition("-")[2])]

    def ask(
        self,
        session: str = "",
        path: str = CHAT,
        method: str = "POST",
        key: str = KEY,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        """One request by a connection of its own, as every client makes them."""
        client, answer = self.begin(session, path, method, key, headers, **body)
        whole = answer.read()
        client.close()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, whole)

    def begin(
        self,
        session: str = "",
        path: str = CHAT,
        method: str = "POST",
        key: str = KEY,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The same up to the answer's head."""
        client = self._client()
        sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(headers or {})}
        if session:
            sent["X-Session-Id"] = session
        client.request(
            method, path, json.dumps({"model": "tiny", **body}) if method == "POST" else None, sent
        )
        return client, client.getresponse()

    def hold(self, session: str = "", **body: Any) -> Future[Answer]:
        """A request that its engine keeps until it is released."""
        return self.clients.submit(self.ask, session, hold=True, **body)

    def rotate(self, *words: str) -> str:
        """The script's output."""
        return self.node.sh(f"{self.plan.folder}/rotate {' '.join(words)}").strip()

    def replicas(self, pool: str = "agents") -> dict[str, dict[str, Any]]:
        """What the status says of a pool's replicas."""
        found: dict[str, dict[str, Any]] = json.loads(self.rotate("status"))["pools"][pool]["replicas"]
        return found

    def _client(self) -> http.client.HTTPConnection:
        address = self.plan.address, self.plan.port
        if self.plan.tls.kind == "none":
            return http.client.HTTPConnection(*address, timeout=LIMIT_S)
        trust = ssl.create_default_context(cadata=self.ca)
        trust.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 and later ask by default
        return http.client.HTTPSConnection(*address, timeout=LIMIT_S, context=trust)

    @property
    def ca(self) -> str:
        """The CA's certificate, as `make env` writes it for clients."""
        return ca_certificate(self.ca_key, ca_name(FLEET))


def pool(
    name: str,
    engines: Sequence[StandInEngine],
    served_name: str = "tiny",
    first: int = 0,
    max_num_seqs: int = ENGINE_LIMIT,
) -> GatewayPool:
    """A pool before these engines; its replicas count from `first`."""
    replicas = [
        GatewayReplica(f"{name}-{first + index}", engine.address, engine.port, max_num_seqs, max_num_seqs)
        for index, engine in enumerate(engines)
    ]
    return GatewayPool(name, "agent", served_name, tuple(replicas))


def gateway_plan(address: str, engines: Sequence[StandInEngine]) -> GatewayPlan:
    """One pool before all engines."""
    unit = f"agentfleet-{FLEET}-gateway"
    return GatewayPlan(
        kind="nginx",
        unit=unit,
        user=unit,
        node="node-1",
        address=address,
        listen_address=address,
        port=8080,
        base_url=f"http://{address}:8080",
        folder=f"/etc/agentfleet/{FLEET}/gateway",
        run_folder=f"/run/{unit}",
        pools=(pool("agents", engines),),
        front_pool="agents",
        session_header="X-Session-Id",
        session_cookie="agentfleet_session",
        session_idle_s=600,
        load_factor=1.25,
        tls=TlsPlan(),
        client_keys=(),
        request_limit_bytes=16 << 20,
        drain_timeout_s=20,
        ready_timeout_s=20,
        decisions=(),
    )


def machine_of(node: StartedNode, connection: Any) -> Machine:
    """The node as the converging code sees it."""
    return Machine(node.state.name, connection, threading.RLock(), FLEET, lambda _: None)
