"""agentfleet_agents against a real store, with the real libraries: sessions go on, and nothing is lost in silence."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.render.agents_env import CA_FILE, FOLDER, agents_env
from infra.render.state import ca_name
from provisioning.converge.secrets import fill
from provisioning.places import cache_dir
from provisioning.ssh import Connections
from support.lab_stacks import swept_lab_stack
from support.readiness import is_missing
from support.state_lab import StateLab, state_plan
from support.state_secrets import STATE_SECRETS
from support.traces import ROOT
from support.waiting import wait_for_output, wait_until
from tools.stack.generated import ca_certificate

CLIENT = Path(__file__).with_name("state_client.py")
LIMIT_S = 120


class Agent:
    """A process on this computer that has read agents.env."""

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self.python = python
        self.environment = environment

    def start(self, scenario: str) -> subprocess.Popen[str]:
        """The scenario in a process of its own."""
        words = [str(self.python), str(CLIENT), scenario]
        return subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, text=True)

    def does(self, scenario: str) -> dict[str, Any]:
        """What it answers."""
        return answer_of(self.start(scenario))


def answer_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, output
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def store(lab_ready: None) -> Iterator[StateLab]:  # noqa: ARG001 - to have it first
    with swept_lab_stack() as stack, Connections() as connections:
        node = stack.start("node-1")
        made = StateLab(node, "server", state_plan({"server": node}, stack.network), connections)
        made.bring()
        yield made


@pytest.fixture(scope="module")
def agent(store: StateLab, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """It reads agents.env as a shell does."""
    python = cache_dir() / "ready" / "examples" / "bin" / "python"
    if not python.exists():
        is_missing("needs the examples' environment: make setup-test")
    folder = tmp_path_factory.mktemp("agents")
    text = fill(agents_env(store.plan).replace(FOLDER, str(folder)), {**STATE_SECRETS, "apiKey": "k"})
    (folder / CA_FILE).write_text(ca_certificate(STATE_SECRETS["stateCaKey"], ca_name(store.plan.name)))
    (folder / "agents.env").write_text(text)
    script = f"set -a; . {shlex.quote(str(folder / 'agents.env'))}; env -0"
    listed = subprocess.run(
        ["env", "-i", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    ).stdout
    read = dict(line.split("=", 1) for line in listed.split("\0") if line)
    quiet = {
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "OTEL_SDK_DISABLED": "true",
    }
    return Agent(
        python, {**read, **quiet, "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    )


def start_store(store: StateLab) -> None:
    store.node.sh(f"systemctl start {store.state.unit}")
    wait_until(lambda: store.node.try_sh(f"{store.state.folder}/ready").returncode == 0, "the store is back")


@pytest.mark.parametrize("way", ["", "_async"])
def test_a_session_goes_on_in_another_process_and_ends_by_its_deletion(
    agent: Agent, store: StateLab, way: str
) -> None:
    assert agent.does(f"say{way}") == {"answer": ["hello", "1"]}
    assert agent.does(f"say{way}") == {"answer": ["hello", "1", "hello", "3"]}
    assert 0 < int(store.cli("TTL 'thread:{t*1}:'")) <= store.state.ttl_s
    assert agent.does(f"forget{way}") == {"answer": 0}
    assert store.cli("DBSIZE") == "0"


@pytest.mark.parametrize("way", ["", "_async"])
def test_a_store_that_is_down_is_an_error_and_no_empty_session(
    agent: Agent, store: StateLab, way: str
) -> None:
    agent.does(f"say{way}")
    store.node.sh(f"systemctl stop {store.state.unit}")
    assert agent.does(f"say{way}_impatiently")["error"] == "StateUnavailable"
    start_store(store)
    assert agent.does(f"say{way}") == {"answer": ["hello", "1", "hello", "3"]}
    agent.does(f"forget{way}")


@pytest.mark.parametrize("way", ["", "_async"])
def test_a_read_that_is_refused_is_an_error_and_no_empty_session(
    agent: Agent, store: StateLab, way: str
) -> None:
    """With the saver alone this turn is answered, and its short state becomes the session's."""
    agent.does(f"say{way}")
    store.cli("ACL SETUSER agent -lrange")
    refused = agent.does(f"say{way}")
    store.cli("ACL SETUSER agent +lrange")
    assert refused["error"] == "StateUnavailable"
    assert "lrange" in refused["said"]
    assert agent.does(f"say{way}") == {"answer": ["hello", "1", "hello", "3"]}
    agent.does(f"forget{way}")


@pytest.mark.parametrize("way", ["", "_async"])
def test_a_session_without_its_newest_checkpoint_is_an_error(agent: Agent, store: StateLab, way: str) -> None:
    agent.does(f"say{way}")
    newest = store.cli("LINDEX 'thread:{t*1}:' 0")
    store.cli(f"DEL 'checkpoint:{{t*1}}::{newest}'")
    damaged = agent.does(f"say{way}")
    assert damaged == {
        "error": "StateDamaged",
        "said": "session t*1: its newest checkpoint is missing or cannot be read",
    }
    agent.does(f"forget{way}")


def test_a_restart_of_the_store_costs_no_turn(agent: Agent, store: StateLab) -> None:
    with agent.start("say_much") as busy:
        wait_for_output(busy, "busy")
        store.node.sh(f"systemctl kill -s KILL --kill-whom=main {store.state.unit}")
        assert answer_of(busy) == {"answer": [80, 80, 80, 80]}
    assert int(store.node.sh(f"systemctl show --value -p NRestarts {store.state.unit}")) > 0


def test_a_flow_of_crewai_goes_on_in_the_store_under_a_lock(agent: Agent, store: StateLab) -> None:
    found = agent.does("flow")["answer"]
    assert found["counted"] == [11, 22]
    assert json.loads(store.cli(f"--raw GET flow:{found['id']}"))["count"] == 22
