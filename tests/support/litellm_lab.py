"""LiteLLM before the product's own gateway on a lab node, before stand-in engines on this computer."""

from __future__ import annotations

import dataclasses
import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from infra.plan.authority import CA_SECRET
from infra.plan.fleet_plan import FleetPlan
from infra.plan.gateway import GatewayPlan, TlsPlan
from infra.plan.guards import GATEWAY, Guard
from infra.plan.litellm import LiteLlmPlan, plan_litellm
from infra.render.firewall import firewall_service
from infra.render.litellm import behind, litellm_service
from infra.render.nginx import nginx_service
from infra.spec.kinds import TlsKind
from provisioning.converge.service import converge
from provisioning.converge.version import Version
from support.gateway_lab import FLEET, KEY, SECOND_KEY, Gateway, gateway_plan, pool
from support.stand_in_engine import StandInEngine

RESTART_LIMIT_S = 200


@dataclass
class LiteLlmGateway(Gateway):
    """Both, as clients meet them; the engines of the pool `long` come after those of `agents`."""

    @property
    def litellm(self) -> LiteLlmPlan:
        """What stands before nginx."""
        assert self.plan.litellm
        return self.plan.litellm

    def deploy(self, **changes: Any) -> None:
        """Bring both to the plan with these changes, as the provider would."""
        self.plan = dataclasses.replace(self.plan, **changes)
        fleet = cast("FleetPlan", SimpleNamespace(name=FLEET))
        secrets = {"apiKey": KEY, "second": SECOND_KEY, CA_SECRET: self.ca_key}
        firewall = firewall_service(fleet, [Guard(GATEWAY, (self.plan.port,), (self.node.state.network,))])
        inner = nginx_service(fleet, behind(self.plan, self.litellm))
        for state in (firewall, inner, litellm_service(fleet, self.plan, self.litellm)):
            converge(self.machine, Version(state, secrets))

    def _client(self) -> http.client.HTTPConnection:
        """Patient: who connects during a restart waits for LiteLLM's start."""
        client = super()._client()
        client.timeout = RESTART_LIMIT_S
        return client

    def start_afresh(self, plan: GatewayPlan) -> None:
        """This plan, all engines up and in the ring, nothing remembered; LiteLLM itself runs on."""
        super().start_afresh(plan)
        for engine in self.engines:
            engine.context_is_short = False


def litellm_plan(address: str, engines: Sequence[StandInEngine]) -> GatewayPlan:
    """Two pools, the last engine being the one for long sessions; clients check the fleet's certificate."""
    pools = (
        pool("agents", engines[:-1]),
        dataclasses.replace(pool("long", engines[-1:], first=len(engines) - 1), role="long"),
    )
    plan = dataclasses.replace(
        gateway_plan(address, engines),
        kind="litellm",
        pools=pools,
        tls=TlsPlan(kind=TlsKind.GENERATED),
        client_keys=("second",),
        drain_timeout_s=60,
    )
    return dataclasses.replace(plan, litellm=plan_litellm(FLEET, plan.port, pools, "agents", lab=True))
