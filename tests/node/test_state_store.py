"""A real store on a node: who may do what in it, what survives and comes back, what only a word deletes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.plan.authority import CA_SECRET, ca_name
from infra.render import render
from provisioning import lab
from provisioning.converge import service as converging
from provisioning.converge.data import VARIABLE
from provisioning.converge.version import Version
from provisioning.day_two.snapshots import bring_back, take
from provisioning.errors import HostError, ProvisioningError
from provisioning.ssh import Connections
from support.lab_stacks import LabStack, StartedNode, swept_lab_stack
from support.state_lab import StateLab, state_plan
from support.state_secrets import STATE_SECRETS
from support.waiting import wait_until
from tools.stack.trust import ca_certificate

_COUNT = """n=0
while n=$((n + 1)); {cli} SET flow:count $n | grep -q OK; do
    echo $n >/root/answered.new
    mv /root/answered.new /root/answered
done
"""
CHECKPOINT = "'checkpoint:{t1}::c1'"


@pytest.fixture(scope="module")
def network(lab_ready: None) -> Iterator[LabStack]:  # noqa: ARG001 - to have it first
    with swept_lab_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def machine(network: LabStack) -> StartedNode:
    return network.start("node-1")


@pytest.fixture(scope="module")
def client(network: LabStack) -> StartedNode:
    """A machine where agents run."""
    node = network.start("node-2")
    node.sh(
        "apt-get -q update >/dev/null; apt-get -q -y install --no-install-recommends redis-tools openssl >/dev/null"
    )
    return node


@pytest.fixture(scope="module")
def store(network: LabStack, machine: StartedNode) -> Iterator[StateLab]:
    with Connections() as connections:
        made = StateLab(machine, "server", state_plan({"server": machine}, network.network), connections)
        made.bring()
        yield made


def as_user(store: StateLab, user: str, words: str) -> str:
    """What the store answers a user on its own machine, errors included."""
    password = STATE_SECRETS[f"state{user.title()}Password"]
    [certificates] = render(store.plan)[store.name]["state"].artifacts
    options = (
        f"--no-auth-warning --user {user} -h {store.node.facts.address} --tls --cacert {certificates}/ca.crt"
    )
    return store.node.sh(f"REDISCLI_AUTH={password} redis-cli {options} {words} 2>&1").strip()


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("agent", f"SET {CHECKPOINT} x EX 60"),
        ("agent", "LPUSH 'thread:{t1}:' c1"),
        ("agent", "SET flow:1 '{}'"),
        ("agent", "PUBLISH crewai:lock hello"),
        ("agent", "SCAN 0"),
        ("exporter", "INFO"),
        ("exporter", "CONFIG GET maxmemory"),
        ("exporter", "SLOWLOG GET 1"),
        ("backup", "LASTSAVE"),
        ("admin", "ACL WHOAMI"),
    ],
)
def test_a_user_may_do_what_its_work_asks_for(store: StateLab, user: str, words: str) -> None:
    assert not as_user(store, user, words).startswith(("ERR", "NOPERM", "NOAUTH", "WRONGPASS"))


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("agent", "FLUSHALL"),
        ("agent", "CONFIG GET requirepass"),
        ("agent", "ACL LIST"),
        ("agent", "KEYS '*'"),
        ("agent", "SHUTDOWN NOSAVE"),
        ("agent", "SET other x"),
        ("agent", "GET tasks"),
        ("agent", "PUBLISH elsewhere x"),
        ("agent", "CLIENT KILL TYPE normal"),
        ("exporter", "GET checkpoint:x"),
        ("exporter", "CONFIG SET maxmemory 1"),
        ("exporter", "CLIENT KILL TYPE normal"),
        ("backup", "GET checkpoint:x"),
        ("backup", "CONFIG GET dir"),
        ("backup", "SHUTDOWN NOSAVE"),
    ],
)
def test_and_nothing_more(store: StateLab, user: str, words: str) -> None:
    assert as_user(store, user, words).startswith("NOPERM")


def test_nobody_enters_without_a_user_and_nothing_is_said_in_the_clear(
    store: StateLab, client: StartedNode
) -> None:
    address = store.node.facts.address
    assert "Connection reset by peer" in client.try_sh(f"redis-cli -h {address} PING 2>&1").stdout
    said = client.try_sh(f"redis-cli -h {address} --tls --insecure PING 2>&1").stdout
    assert said.strip() == "NOAUTH Authentication required."
    said = client.try_sh(f"redis-cli -h {address} --tls --insecure --user default -a x PING 2>&1").stdout
    assert "WRONGPASS" in said


def test_its_certificate_is_of_the_fleets_own_ca_and_names_its_address(
    store: StateLab, client: StartedNode, tmp_path: Path
) -> None:
    """By the certificate that the operator's computer makes from the same key."""
    (tmp_path / "ca.crt").write_text(ca_certificate(STATE_SECRETS[CA_SECRET], ca_name(store.plan.name)))
    client.sh("cat >/root/ca.crt", stdin=(tmp_path / "ca.crt").read_text())
    address = store.node.facts.address
    verify = (
        f"openssl s_client -connect {address}:6379 -CAfile /root/ca.crt -verify_return_error -x509_strict"
    )
    assert "Verify return code: 0 (ok)" in client.sh(f"{verify} -verify_ip {address} </dev/null 2>&1")
    assert client.try_sh(f"{verify} -verify_ip 203.0.113.1 </dev/null").returncode != 0


def test_others_than_clients_are_dropped(store: StateLab) -> None:
    rules = store.node.sh("nft list table inet agentfleet_shop")
    assert "6379" in rules
    assert store.plan.clients[0] in rules


def test_bringing_it_twice_changes_nothing(store: StateLab) -> None:
    started = f"systemctl show --value -p InvocationID {store.state.unit}"
    before = store.node.sh(started)
    store.bring()
    assert store.node.sh(started) == before


def test_the_distributions_own_server_stays_off(store: StateLab) -> None:
    said = store.node.try_sh("systemctl is-active redis-server; systemctl is-enabled redis-server").stdout
    assert said.split() == ["inactive", "disabled"]


def test_no_password_stands_where_others_can_read_it(store: StateLab) -> None:
    folder = store.state.folder
    assert store.node.sh(f"runuser -u nobody -- grep -rlF 'pppppppp' {folder} 2>/dev/null || true") == ""
    assert "pppppppp" not in store.node.sh("ps -e -o args")


def test_a_killed_process_loses_nothing_that_it_has_answered(store: StateLab) -> None:
    """Keys are counted up by a client that remembers the last answer, until the server is killed under it."""
    store.node.sh("cat >/root/count.sh", stdin=_COUNT.format(cli=store.state.cli))
    counting = threading.Thread(target=lambda: store.node.try_sh("sh /root/count.sh"))
    counting.start()
    wait_until(lambda: int(store.node.try_sh("cat /root/answered").stdout or 0) > 20, "20 answers")
    store.node.sh(f"systemctl kill -s KILL --kill-whom=main {store.state.unit}")
    counting.join()
    wait_until(lambda: store.node.try_sh(f"{store.state.folder}/ready").returncode == 0, "the store is back")
    assert int(store.cli("GET flow:count")) >= int(store.node.sh("cat /root/answered"))


def test_a_reboot_loses_nothing(store: StateLab) -> None:
    store.cli("SET flow:reboot survives")
    store.node.try_sh("systemctl reboot")
    wait_until(lambda: not answers(store.node), "the machine goes down")
    lab.start(store.node.state)
    wait_until(lambda: answers(store.node), "the machine is back")
    wait_until(lambda: store.node.try_sh(f"{store.state.folder}/ready").returncode == 0, "the store is back")
    assert store.cli("GET flow:reboot") == "survives"
    store.bring()


def answers(node: StartedNode) -> bool:
    try:
        return node.shell.try_run("true").returncode == 0
    except Exception:
        return False


def test_a_backup_brings_everything_back_and_nothing_else(store: StateLab, tmp_path: Path) -> None:
    store.cli("SET flow:before backup EX 5000")
    folder, shell = store.state.folder, store.machine.shell
    size = take(shell, f"{folder}/backup", tmp_path / "state.rdb", lambda *_: None)
    assert (tmp_path / "state.rdb").stat().st_size == size
    assert (tmp_path / "state.rdb").stat().st_mode & 0o777 == 0o600
    store.cli("SET flow:after backup")
    store.cli("DEL flow:before")
    keys = bring_back(
        shell, f"{folder}/restore", store.state.data_folder, tmp_path / "state.rdb", lambda *_: None
    )
    wait_until(lambda: store.node.try_sh(f"{folder}/ready").returncode == 0, "the store is back")
    assert keys == int(store.cli("DBSIZE"))
    assert store.cli("GET flow:before") == "backup"
    assert 4000 < int(store.cli("TTL flow:before")) <= 5000
    assert store.cli("EXISTS flow:after") == "0"
    store.node.sh(f"systemctl restart {store.state.unit}")
    wait_until(lambda: store.node.try_sh(f"{folder}/ready").returncode == 0, "the store is back")
    assert store.cli("GET flow:before") == "backup"
    assert store.node.sh(f"ls {store.state.data_folder}/*.rdb").split() == [
        f"{store.state.data_folder}/dump.rdb"
    ]


def test_a_damaged_backup_touches_nothing(store: StateLab, tmp_path: Path) -> None:
    store.cli("SET flow:kept yes")
    (tmp_path / "bad.rdb").write_bytes(b"REDIS0011 and then something else")
    with pytest.raises(ProvisioningError, match="no whole snapshot of redis-server: nothing was touched"):
        bring_back(
            store.machine.shell,
            f"{store.state.folder}/restore",
            store.state.data_folder,
            tmp_path / "bad.rdb",
            lambda *_: None,
        )
    assert store.cli("GET flow:kept") == "yes"


def test_the_alarm_is_raised_before_the_store_refuses_and_again_when_it_does(store: StateLab) -> None:
    alarm = f"{store.state.unit}-alarm.service"
    store.node.sh(f"systemctl start {alarm}")
    fill = (
        f"for i in $(seq 28); do head -c 2000000 /dev/zero | {store.state.cli} -x SET flow:big:$i; done 2>&1"
    )
    assert "OOM" not in store.node.sh(fill)
    assert store.node.try_sh(f"systemctl start {alarm}").returncode != 0
    warnings = store.node.sh(f"journalctl -q -o cat -p warning -u {alarm}")
    assert " % full (" in warnings
    assert "raise state.maxmemory, or lower state.ttl_s" in warnings
    assert alarm in store.node.sh("systemctl --failed --plain --no-legend")
    assert "OOM command not allowed" in store.node.sh(fill.replace("big", "more"))
    assert store.cli("GET flow:kept") == "yes"
    store.node.sh(
        f"{store.state.cli} --scan --pattern 'flow:*:*' | xargs -n 50 {store.state.cli} DEL >/dev/null"
    )
    store.node.sh(f"systemctl start {alarm}")
    assert alarm not in store.node.sh("systemctl --failed --plain --no-legend")


def test_files_that_the_server_would_refuse_never_reach_it(store: StateLab) -> None:
    """The trial start fails, the old files are back, the store was never stopped."""
    started = f"systemctl show --value -p InvocationID {store.state.unit}"
    before = store.node.sh(started)
    good = render(store.plan)["server"]["state"]
    path = f"{store.state.folder}/store.conf"
    bad = replace(
        good,
        files={**good.files, path: replace(good.files[path], text=good.files[path].text + "nonsense 1\n")},
    )
    with pytest.raises(ProvisioningError, match="nonsense"):
        converging.converge(store.machine, Version(bad, store.secrets), Version(good, store.secrets))
    assert store.node.sh(started) == before
    assert "nonsense" not in store.node.sh(f"cat {path}")


def test_a_saver_without_its_modules_is_refused_with_a_sentence(store: StateLab, network: LabStack) -> None:
    wanting = replace(
        store, plan=state_plan({"server": store.node}, network.network, saver="redis", durability="sync")
    )
    with pytest.raises(
        ProvisioningError,
        match="the saver redis needs the module ReJSON, which this machine's redis-server 7",
    ):
        wanting.bring()
    store.bring()
    assert store.cli("GET flow:kept") == "yes"


def test_data_goes_only_by_the_operators_word_and_then_all_of_it(
    store: StateLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        HostError, match="holds the data of state, which would be lost: back it up, then run again with"
    ):
        store.remove()
    assert store.cli("GET flow:kept") == "yes"
    monkeypatch.setenv(VARIABLE, "test")
    store.remove()
    left = "find / -xdev -path /proc -prune -o \\( -name '*agentfleet*' -o -name '*redis*' \\) -print"
    found = [
        line
        for line in store.node.sh(left).splitlines()
        if not line.startswith(("/proc", "/usr/share", "/var/cache", "/var/lib/apt", "/etc/ssh"))
    ]
    assert found == []
