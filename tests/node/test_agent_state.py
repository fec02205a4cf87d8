"""agentfleet_agents against a real store, with the real libraries: sessions go on, and nothing is lost in silence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from provisioning.ssh import Connections
from support.lab_stacks import swept_lab_stack
from support.state_agents import Agent, agent_of, answer_of
from support.state_lab import StateLab, state_plan
from support.waiting import wait_for_output, wait_until


@pytest.fixture(scope="module")
def store(lab_ready: None) -> Iterator[StateLab]:  # noqa: ARG001 - to have it first
    with swept_lab_stack() as stack, Connections() as connections:
        node = stack.start("node-1")
        made = StateLab(node, "server", state_plan({"server": node}, stack.network), connections)
        made.bring()
        yield made


@pytest.fixture(scope="module")
def agent(store: StateLab, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """An agent on this computer."""
    return agent_of(store.plan, tmp_path_factory.mktemp("agents"))


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


@pytest.fixture
def without_followers(store: StateLab) -> Iterator[None]:
    """A primary that refuses writes until a follower has found it, as after a failover."""
    store.cli("CONFIG SET min-replicas-to-write 1")
    yield
    store.cli("CONFIG SET min-replicas-to-write 0")


def refused_writes(store: StateLab) -> int:
    found = re.search(r"errorstat_NOREPLICAS:count=(\d+)", store.cli("INFO errorstats"))
    return int(found[1]) if found else 0


WRITERS = {"say": ["hello", "1"], "say_async": ["hello", "1"], "keep_flow": {"count": 11}}


@pytest.mark.usefixtures("without_followers")
@pytest.mark.parametrize("writer", WRITERS)
def test_an_agent_waits_for_a_primary_that_has_no_followers_yet(
    agent: Agent, store: StateLab, writer: str
) -> None:
    before = refused_writes(store)
    with agent.start(writer) as writing:
        wait_until(lambda: refused_writes(store) > before + 2, "refused three times")
        store.cli("CONFIG SET min-replicas-to-write 0")
        assert answer_of(writing) == {"answer": WRITERS[writer]}
    agent.does("forget")


@pytest.mark.usefixtures("without_followers")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_refused_write_is_told_in_the_store_s_words_without_the_session_s(
    agent: Agent, writer: str
) -> None:
    assert agent.does(f"{writer}_impatiently") == {
        "error": "StateUnavailable",
        "said": "the state store: NOREPLICAS Not enough good replicas to write.",
    }


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


@pytest.mark.parametrize("writer", WRITERS)
def test_sentinels_that_know_no_primary_are_named_by_where_they_stand(agent: Agent, writer: str) -> None:
    nobody = {"AGENTFLEET_STATE_SENTINELS": "127.0.0.1:1", "AGENTFLEET_STATE_PRIMARY": "state"}
    lost = replace(agent, environment={**agent.environment, **nobody})
    assert lost.does(f"{writer}_impatiently") == {
        "error": "StateUnavailable",
        "said": "the state store: no Sentinel of AGENTFLEET_STATE_SENTINELS names a primary that answers",
    }


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
