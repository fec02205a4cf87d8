"""Agents on this computer: processes that have read agents.env and use the real libraries (node/state_client.py)."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.plan.authority import CA_SECRET, ca_name
from infra.plan.fleet_plan import FleetPlan
from infra.render.agents_env import CA_FILE, FOLDER, agents_env
from provisioning.converge.secrets import fill
from provisioning.places import cache_dir
from support.readiness import is_missing
from support.state_secrets import STATE_SECRETS
from support.traces import ROOT
from tools.stack.trust import ca_certificate

CLIENT = ROOT / "tests" / "node" / "state_client.py"
LIMIT_S = 240
QUIET = {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false", "OTEL_SDK_DISABLED": "true"}


@dataclass(frozen=True)
class Agent:
    """An agent and what it has read."""

    python: Path
    environment: dict[str, str]

    def start(self, scenario: str) -> subprocess.Popen[str]:
        """The scenario in a process of its own."""
        words = [str(self.python), str(CLIENT), scenario]
        return subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, text=True)

    def does(self, scenario: str) -> dict[str, Any]:
        """What it answers."""
        return answer_of(self.start(scenario))


def agent_of(plan: FleetPlan, folder: Path) -> Agent:
    """An agent of this fleet; it reads agents.env as a shell does."""
    python = cache_dir() / "ready" / "examples" / "bin" / "python"
    if not python.exists():
        is_missing("needs the examples' environment: make setup-test")
    text = fill(agents_env(plan).replace(FOLDER, str(folder)), {**STATE_SECRETS, "apiKey": "k"})
    (folder / CA_FILE).write_text(ca_certificate(STATE_SECRETS[CA_SECRET], ca_name(plan.name)))
    (folder / "agents.env").write_text(text)
    script = f"set -a; . {shlex.quote(str(folder / 'agents.env'))}; env -0"
    path = {"PATH": os.environ["PATH"]}
    listed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env=path).stdout
    read = dict(line.split("=", 1) for line in listed.split("\0") if line)
    return Agent(python, {**read, **QUIET, "HOME": str(folder), "PYTHONPATH": str(ROOT)})


def answer_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line that a scenario prints."""
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, output
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer
