"""Three servers with Sentinels on three real nodes: no turn of an agent is lost when one dies or all are changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from infra.plan.authority import CA_SECRET
from provisioning import lab
from provisioning.converge import peers
from provisioning.converge.ring import Rings
from provisioning.day_two.machines import Machines, WayIn
from provisioning.day_two.snapshots import take
from provisioning.day_two.store_servers import Server, leading_server, restore_all
from provisioning.errors import PeersError, ProvisioningError
from provisioning.ssh import Connections
from support.lab_stacks import swept_lab_stack
from support.state_agents import Agent, agent_of, answer_of
from support.state_lab import StateLab, state_plan
from support.state_secrets import STATE_SECRETS
from support.waiting import wait_for_output, wait_until
from tools.stack.generated import new_secret

NODES = ("node-1", "node-2", "node-3")

FAILOVER_LIMIT_S = 240
"""On a computer that is busy with other tests; alone it takes seven seconds."""


@pytest.fixture(scope="module")
def stores(lab_ready: None) -> Iterator[dict[str, StateLab]]:  # noqa: ARG001 - to have it first
    with swept_lab_stack() as stack, Connections() as connections, ThreadPoolExecutor() as threads:
        nodes = dict(zip(NODES, threads.map(stack.start, NODES), strict=True))
        plan = state_plan(nodes, stack.network, ha="sentinel", nodes=list(NODES))
        rings = Rings()
        made = {name: StateLab(node, name, plan, connections, rings=rings) for name, node in nodes.items()}
        list(threads.map(StateLab.bring, made.values()))
        yield made


@pytest.fixture(scope="module")
def agent(stores: dict[str, StateLab], tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return agent_of(stores["node-1"].plan, tmp_path_factory.mktemp("agents"))


def role(store: StateLab) -> str:
    return store.node.try_sh(f"{store.state.cli} ROLE | head -n 1").stdout.strip()


def primary(stores: dict[str, StateLab]) -> str:
    """The one node whose server says that it is the primary, empty while there is not exactly one."""
    found = [name for name, store in stores.items() if role(store) == "master"]
    return found[0] if len(found) == 1 else ""


def followers(store: StateLab) -> int:
    return store.node.sh(f"{store.state.cli} INFO replication").count("state=online")


def test_the_plans_first_node_begins_as_the_primary_and_the_others_follow_it(
    stores: dict[str, StateLab],
) -> None:
    wait_until(lambda: followers(stores["node-1"]) == 2, "two followers", FAILOVER_LIMIT_S)
    assert [role(stores[name]) for name in NODES] == ["master", "slave", "slave"]


def test_every_sentinel_sees_the_others(stores: dict[str, StateLab]) -> None:
    """By the count that Sentinel keeps, as its agents' user may ask."""
    store = stores["node-2"]
    sentinels = f"{store.state.cli} -p {store.state.sentinel_port}"
    for store in stores.values():
        wait_until(
            lambda store=store: (
                "OK 3 usable Sentinels"  # type: ignore[misc]
                in store.node.try_sh(f"STATE_USER=sentinel {sentinels} SENTINEL CKQUORUM state").stdout
            ),
            "three Sentinels",
        )


def test_every_sentinel_knows_the_followers_before_it_has_asked_the_primary(
    stores: dict[str, StateLab],
) -> None:
    """What it does not know it does not lead to the next primary; it asks for followers every ten seconds."""
    for store in stores.values():
        began = store.node.sh(f"cat /var/lib/{store.state.unit}-sentinel/sentinel.conf")
        known = re.findall(r"^sentinel known-replica state (\S+) \d+$", began, re.MULTILINE)
        assert sorted(known) == sorted(stores[name].node.facts.address for name in NODES[1:])


def test_a_primary_that_dies_costs_no_turn_and_comes_back_as_a_follower(
    stores: dict[str, StateLab], agent: Agent
) -> None:
    dead = stores["node-1"]
    with agent.start("say_much") as busy:
        wait_for_output(busy, "busy")
        dead.node.try_sh("systemctl poweroff --no-block --force --force")
        others = {name: store for name, store in stores.items() if store is not dead}
        wait_until(lambda: primary(others) != "", "another primary", FAILOVER_LIMIT_S)
        assert answer_of(busy) == {"answer": [80, 80, 80, 80]}
    new = stores[primary(others)]
    lab.start(dead.node.state)
    wait_until(lambda: role(dead) == "slave", "the dead one follows", FAILOVER_LIMIT_S)
    wait_until(lambda: followers(new) == 2, "both follow", FAILOVER_LIMIT_S)
    assert dead.cli("DBSIZE") == new.cli("DBSIZE")
    assert agent.does("keep_flow") == {"answer": {"count": 11}}, (
        "CrewAI's client finds the new primary as well"
    )


def test_bringing_it_again_changes_nothing_and_leaves_the_primary(stores: dict[str, StateLab]) -> None:
    before = primary(stores)
    for store in stores.values():
        run = f"systemctl show --value -p InvocationID {store.state.unit} {store.state.unit}-sentinel"
        running = store.node.sh(run)
        store.bring()
        assert store.node.sh(run) == running
    assert primary(stores) == before


def changed(stores: dict[str, StateLab], maxmemory: str) -> dict[str, StateLab]:
    """The same servers as another `state.maxmemory` would have them."""
    first = stores[NODES[0]]
    nodes = {name: store.node for name, store in stores.items()}
    wanted = {"ha": "sentinel", "nodes": list(NODES), "maxmemory": maxmemory}
    plan, rings = state_plan(nodes, first.plan.clients[0], **wanted), Rings()
    return {name: replace(store, plan=plan, rings=rings, warned=[]) for name, store in stores.items()}


def test_a_changed_setting_reaches_all_three_one_at_a_time_and_costs_no_turn(
    stores: dict[str, StateLab], agent: Agent
) -> None:
    wanted = changed(stores, "96MiB")
    with ThreadPoolExecutor() as threads:
        with agent.start("say_much") as busy:
            wait_for_output(busy, "busy")
            bringing = [threads.submit(store.bring, stores[name]) for name, store in wanted.items()]
            answers = [answer_of(busy)]
        while not all(made.done() for made in bringing):
            answers.append(agent.does("say_much"))
        assert [made.result() for made in bringing] == [None] * 3
    first = answers[0]["answer"][0]
    assert answers == [{"answer": [first + 80 * turn] * 4} for turn in range(len(answers))]
    assert followers(stores[primary(stores)]) == 2
    for store in wanted.values():
        assert store.cli("CONFIG GET maxmemory").split()[-1] == str(96 * 2**20)
        assert store.cli("CONFIG GET min-replicas-to-write").split()[-1] == "1"
        assert store.warned == []


def test_with_one_server_down_the_others_are_left_as_they_are_and_serve(
    stores: dict[str, StateLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PEERS_WAIT_S", -1)
    lead = primary(stores)
    other, down = (name for name in NODES if name != lead)
    stores[down].node.sh(f"systemctl stop {stores[down].state.unit}")
    for name, said in {other: "no server but this one follows", lead: "1 of the 2 others follow it"}.items():
        store = changed(stores, "128MiB")[name]
        running = f"systemctl show --value -p InvocationID {store.state.unit}"
        before = store.node.sh(running)
        with pytest.raises(PeersError, match=f"state on {name} was left as it was: .*{said}"):
            store.bring(stores[name])
        assert store.node.sh(running) == before
    assert stores[lead].cli("SET flow:degraded yes") == "OK"


def test_where_no_server_takes_writes_a_change_goes_on_and_brings_them_back(
    stores: dict[str, StateLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, lead = changed(stores, "128MiB"), primary(stores)
    others = [store for name, store in wanted.items() if name != lead]
    for store in others:
        store.node.sh(f"systemctl stop {store.state.unit}")
    monkeypatch.setattr(peers, "NOBODY_WAIT_S", -1)
    wanted[lead].bring(stores[lead])
    assert "nobody takes writes" in wanted[lead].warned[0]
    for store in others:
        store.bring(stores[store.name])
    assert primary(stores) == lead
    wait_until(lambda: followers(stores[lead]) == 2, "both follow", FAILOVER_LIMIT_S)
    assert stores[lead].cli("GET flow:degraded") == "yes"


def servers_of(stores: dict[str, StateLab]) -> list[Server]:
    return [Server(name, store.state.unit, store.state.folder) for name, store in stores.items()]


def machines_of(stores: dict[str, StateLab], **ports: int) -> Machines:
    """Ways to the machines; `ports` are those of nodes where nobody listens."""
    reached = {name.replace("_", "-"): port for name, port in ports.items()}
    addresses = {name: store.address for name, store in stores.items()}
    return Machines(
        {name: WayIn(replace(a, port=reached.get(name, a.port))) for name, a in addresses.items()}
    )


def watching(stores: dict[str, StateLab]) -> list[str]:
    ask = "systemctl is-active {}-sentinel"
    return [store.node.try_sh(ask.format(store.state.unit)).stdout.strip() for store in stores.values()]


@pytest.fixture(scope="module")
def snapshot(stores: dict[str, StateLab], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a store that holds flow:before, which then has flow:after in its place."""
    file = tmp_path_factory.mktemp("snapshot") / "state.rdb"
    with machines_of(stores) as machines:
        lead = leading_server(machines, servers_of(stores))
        stores[lead.node].cli("SET flow:before snapshot")
        take(machines.connection(lead.node), f"{lead.folder}/backup", file, lambda *_: None)
    stores[lead.node].cli("DEL flow:before")
    stores[lead.node].cli("SET flow:after snapshot")
    return file


def test_a_restore_with_a_machine_out_of_reach_is_refused_before_anything_is_touched(
    stores: dict[str, StateLab], snapshot: Path
) -> None:
    refused = pytest.raises(ProvisioningError, match=r"host node-3: (?s:.*)nothing was touched")
    with machines_of(stores, node_3=9) as machines, refused:
        restore_all(machines, servers_of(stores), snapshot, lambda *_: None, lambda _: None)
    assert watching(stores) == ["active"] * 3
    assert stores[primary(stores)].cli("EXISTS flow:after flow:before") == "1"


def test_a_restore_that_fails_leaves_what_was_there_and_sentinels_that_watch(
    stores: dict[str, StateLab], snapshot: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.rdb").write_bytes(snapshot.read_bytes()[:-20])
    with machines_of(stores) as machines, pytest.raises(ProvisioningError, match="no whole snapshot"):
        restore_all(machines, servers_of(stores), tmp_path / "bad.rdb", lambda *_: None, lambda _: None)
    assert watching(stores) == ["active"] * 3
    assert stores[primary(stores)].cli("EXISTS flow:after") == "1"


def test_a_restore_brings_the_snapshot_to_all_three_and_nothing_else(
    stores: dict[str, StateLab], snapshot: Path, agent: Agent
) -> None:
    before = primary(stores)
    with machines_of(stores) as machines:
        lead, keys = restore_all(machines, servers_of(stores), snapshot, lambda *_: None, lambda _: None)
    assert (lead.node, primary(stores)) == (before, before)
    assert watching(stores) == ["active"] * 3
    for store in stores.values():
        assert store.cli("GET flow:before") == "snapshot"
        assert store.cli("EXISTS flow:after") == "0"
        assert store.cli("DBSIZE") == str(keys)
    held = stores[before].node.sh(f"ls {lead.data_folder}/before-restore")
    assert "appendonlydir" in held
    assert "answer" in agent.does("say")


def test_a_restore_that_a_loss_of_power_cut_off_does_not_let_the_primary_begin_empty(
    stores: dict[str, StateLab],
) -> None:
    """As the machine finds it when it boots: the store's files moved away, and no Sentinel that knows better."""
    lead = stores[primary(stores)]
    for store in stores.values():
        store.node.sh(f"systemctl stop {store.state.unit}-sentinel")
    unit, data = lead.state.unit, lead.state.data_folder
    lead.node.sh(f"systemctl stop {unit}; rm -rf {data}/before-restore; mkdir -m 0700 {data}/before-restore")
    lead.node.sh(f"cd {data}; mv appendonlydir dump.rdb before-restore; : >before-restore/unfinished")
    lead.node.sh(f"chown redis: {data}/before-restore; : >{data}/dump.rdb; systemctl start {unit}")
    wait_until(lambda: followers(lead) == 2, "both follow again", FAILOVER_LIMIT_S)
    for store in stores.values():
        store.node.sh(f"systemctl start {store.state.unit}-sentinel")
    assert lead.cli("GET flow:before") == "snapshot"
    assert lead.node.sh(f"ls {data}/before-restore") == ""


def test_new_secrets_which_no_order_can_serve_reach_all_three(stores: dict[str, StateLab]) -> None:
    """Each verifies the others by the CA that it began with: whoever waited for the others would wait for ever."""
    secrets = {**STATE_SECRETS, CA_SECRET: new_secret(CA_SECRET), "stateReplicaPassword": "another" * 5}
    wanted = {name: replace(store, secrets=secrets) for name, store in changed(stores, "96MiB").items()}
    with ThreadPoolExecutor() as threads:
        list(threads.map(StateLab.bring, wanted.values(), stores.values()))
    wait_until(lambda: primary(wanted) != "", "one primary", FAILOVER_LIMIT_S)
    wait_until(lambda: followers(wanted[primary(wanted)]) == 2, "both follow", FAILOVER_LIMIT_S)
    assert wanted[primary(wanted)].cli("GET flow:before") == "snapshot"
