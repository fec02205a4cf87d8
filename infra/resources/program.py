"""From a stack's settings to its resources and outputs: what the Pulumi program at the root runs."""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra.plan import make_plan
from infra.plan.read_models import read_models
from infra.plan.summary import summarise
from infra.render import render
from infra.render.agents_env import agents_env
from infra.resources.fleet import Fleet
from infra.spec import load


def deploy(root: Path, stack: str, config: pulumi.Config) -> Fleet:
    """Declare the fleet of `stack` and export its outputs.

    Settings: `spec`, the spec's path from the root (stacks/<stack>.fleet.yaml by default); the secret `apiKey`; those
    of a state store; and those that the spec names, for passwords of hosts and tokens of the hub. Raises FleetError.
    """
    path = root / (config.get("spec") or f"stacks/{stack}.fleet.yaml")
    spec = load(path)
    plan = make_plan(spec, read_models(spec, path.parent))
    services = render(plan)
    asked = {name for node in services.values() for state in node.values() for name in state.secrets}
    fleet = Fleet(
        plan.name,
        stack=stack,
        plan=plan,
        services=services,
        secrets={name: config.require_secret(name) for name in sorted(asked)},
        passwords={
            node.password_config: config.require_secret(node.password_config)
            for node in plan.nodes
            if node.password_config
        },
    )
    pulumi.export("fleet", plan.name)
    pulumi.export("endpoint", fleet.endpoint)
    pulumi.export("plan", summarise(plan))
    pulumi.export("gate", fleet.gate)
    pulumi.export("cost_per_hour", fleet.cost_per_hour)
    pulumi.export("inventory", fleet.inventory)
    pulumi.export("agents_env", agents_env(plan))
    return fleet
