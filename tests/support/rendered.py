"""Every example spec as the files and services that it puts on its nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra.plan import FleetPlan, make_plan
from infra.plan.read_models import read_models
from infra.render import render
from infra.spec import load
from provisioning.state import ServiceState
from support.traces import ROOT

SPECS = sorted(
    [*(ROOT / "stacks").glob("*.fleet.yaml"), *(ROOT / "tests" / "golden" / "specs").glob("*.fleet.yaml")]
)


def name_of(spec: Path) -> str:
    """`stage1` of stage1.fleet.yaml."""
    return spec.name.removesuffix(".fleet.yaml")


def planned(spec: Path) -> FleetPlan:
    """The plan of the spec in this file."""
    made = load(spec)
    return make_plan(made, read_models(made, spec.parent))


def rendered(spec: Path) -> dict[str, str]:
    """Relative path to text: each file under its node, beside a services.json with all that is no file."""
    texts = {}
    for node, services in render(planned(spec)).items():
        for state in services.values():
            texts |= {f"{node}{path}": file.text for path, file in state.files.items()}
        facts = {name: _facts(state) for name, state in services.items()}
        texts[f"{node}/services.json"] = (
            json.dumps(facts, indent=2, default=lambda value: value.__dict__) + "\n"
        )
    return texts


def _facts(state: ServiceState) -> dict[str, Any]:
    files = {
        path: f"{file.mode} {file.owner}:{file.group}, {file.on_change} on change"
        for path, file in state.files.items()
    }
    artifacts = {
        path: {**vars(artifact), "script": artifact.script.splitlines()}
        for path, artifact in state.artifacts.items()
    }
    return {**vars(state), "files": files, "artifacts": artifacts}
