"""What the store's files promise: rights, secrets, data, TLS, and what agents are told."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from plan_specs import LAB, plan

from infra.plan import FleetPlan
from infra.render import render
from infra.render.agents_env import agents_env
from provisioning.properties import service_from_properties, service_to_properties
from provisioning.state import OnChange, Peers, ServiceState

FOLDER = "/etc/agentfleet/small/state"


def planned(**state: Any) -> FleetPlan:
    return plan(LAB, state={"kind": "redis", **state})


def store(**state: Any) -> ServiceState:
    return render(planned(**state))["node-1"]["state"]


THREE = {"ha": "sentinel", "nodes": ["node-1", "node-2", "node-3"]}


def sentinel_store(node: str = "node-2") -> ServiceState:
    made = plan(LAB, nodes={"source": "lab", "lab": {"count": 3}}, state={"kind": "redis", **THREE})
    return render(made)[node]["state"]


def users(service: ServiceState) -> dict[str, list[str]]:
    lines = service.files[f"{FOLDER}/users.acl"].text.splitlines()
    return {words[1]: words[2:] for words in map(str.split, lines)}


def settings(service: ServiceState) -> dict[str, str]:
    lines = service.files[f"{FOLDER}/store.conf"].text.splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def test_nobody_logs_in_as_the_default_user_which_still_has_the_rights_to_replay_the_append_only_file() -> (
    None
):
    """Without them 7.0.15 drops every transaction of the file at a restart, and says so in its log alone."""
    assert users(store())["default"] == ["off", "resetpass", "~*", "&*", "+@all"]


def test_agents_have_the_keys_of_their_libraries_and_those_that_the_spec_adds() -> None:
    words = users(store(key_prefixes=["notes"]))["agent"]
    assert [word for word in words if word[0] in "~&"] == [
        *("~checkpoint:*", "~writes:*", "~thread:*", "~langgraph:*", "~flow:*", "~notes:*", "&crewai*")
    ]
    assert words[-2:] == ["-@dangerous", "-@admin"]


def test_commands_of_the_modules_are_there_for_savers_that_need_them() -> None:
    assert "+json.set" not in users(store())["agent"]
    assert "+json.set" in users(store(saver="redis", durability="sync"))["agent"]


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_the_distributions_settings_come_first_and_ours_win(kind: str) -> None:
    service = store(kind=kind)
    lines = [
        line for line in service.files[f"{FOLDER}/store.conf"].text.splitlines() if line and line[0] != "#"
    ]
    assert lines[0] == f"include /etc/{kind}/{kind}.conf"
    assert service.packages == (f"{kind}-server", f"{kind}-tools", "nftables", "openssl")
    assert (
        f"ExecStart=/usr/bin/{kind}-server "
        in service.files[unit_path("agentfleet-small-state.service")].text
    )


def unit_path(unit: str) -> str:
    return f"/etc/systemd/system/{unit}"


def test_a_full_store_refuses_and_every_write_is_on_disk_within_a_second() -> None:
    found = settings(store(maxmemory="1GiB"))
    assert found["maxmemory"] == str(2**30)
    assert found["maxmemory-policy"] == "noeviction"
    assert (found["appendonly"], found["appendfsync"]) == ("yes", "everysec")


def test_with_tls_there_is_no_port_in_the_clear_and_without_it_no_certificate() -> None:
    secure, clear = store(), store(tls=False)
    assert (settings(secure)["port"], settings(secure)["tls-port"]) == ("0", "6379")
    assert (settings(clear)["port"], settings(clear)["tls-port"]) == ("6379", "0")
    assert [len(service.artifacts) for service in (secure, clear)] == [1, 0]
    assert "--tls" not in clear.files[f"{FOLDER}/cli"].text


def test_another_address_gets_another_certificate() -> None:
    other = plan(
        LAB,
        nodes={"source": "lab", "lab": {"count": 1, "network": "198.18.99.0/24"}},
        state={"kind": "redis"},
    )
    assert {*render(other)["node-1"]["state"].artifacts}.isdisjoint(store().artifacts)


def test_every_secret_stands_in_files_of_one_reader() -> None:
    service = store()
    for path, file in service.files.items():
        if file.secrets:
            assert (file.mode, file.owner) == ("0600", "redis" if path.endswith("users.acl") else "root"), (
                path
            )
    state = planned().state
    assert state
    assert service.secrets == {*state.generated_secrets}


def test_a_change_of_a_script_restarts_nothing() -> None:
    on_change = {path.rpartition("/")[2]: file.on_change for path, file in store().files.items()}
    assert on_change["store.conf"] == on_change["users.acl"] == OnChange.RESTART
    assert {on_change[name] for name in ("cli", "check", "ready", "alarm", "backup", "restore")} == {
        OnChange.NOTHING
    }


def test_what_it_holds_is_data_and_survives_the_way_to_the_provider() -> None:
    service = store()
    assert service.data_folders == ("/var/lib/agentfleet-small-state",)
    assert service_from_properties(service_to_properties(service)) == service


def test_scripts_are_sound_to_the_shell(tmp_path: Path) -> None:
    for service in (store(), store(saver="redis", durability="sync"), store(tls=False), sentinel_store()):
        for file in service.files.values():
            if file.text.startswith("#!/bin/sh"):
                (tmp_path / "script").write_text(file.text)
                subprocess.run(["sh", "-n", str(tmp_path / "script")], check=True)


def read_by_a_shell(text: str, name: str, folder: Path) -> str:
    (folder / "agents.env").write_text(text)
    script = f'. {shlex.quote(str(folder / "agents.env"))}; printf %s "${name}"'
    words, given = ["sh", "-c", script], {"PATH": os.environ["PATH"]}
    return subprocess.run(words, env=given, capture_output=True, text=True, check=True).stdout


def test_agents_are_told_where_their_state_is_with_time_outs_in_the_url(tmp_path: Path) -> None:
    made = planned()
    address = made.nodes[0].address
    assert read_by_a_shell(agents_env(made), "VALKEY_URL", tmp_path) == (
        f"valkeys://agent:${{secret:stateAgentPassword}}@{address}:6379/0?ssl_ca_certs=${{folder}}/fleet-ca.crt"
        "&socket_timeout=5&socket_connect_timeout=5&health_check_interval=30"
    )
    clear = read_by_a_shell(agents_env(planned(tls=False)), "REDIS_URL", tmp_path)
    assert clear.startswith("redis://agent:")
    assert "ssl_ca_certs" not in clear


def test_agents_of_a_fleet_without_a_store_are_told_of_the_model_alone(tmp_path: Path) -> None:
    made = plan(LAB)
    assert read_by_a_shell(agents_env(made), "OPENAI_BASE_URL", tmp_path) == made.endpoint
    assert "REDIS_URL" not in agents_env(made)


FILES = {"kind": "files", "certificate": "/etc/ssl/fleet.pem", "key": "/etc/ssl/fleet.key"}


@pytest.mark.parametrize(
    ("tls", "bundle"),
    [({"kind": "generated"}, "${folder}/ca-bundle.crt"), (FILES, ""), ({"kind": "none"}, "")],
)
def test_agents_are_told_of_a_ca_where_the_gateway_shows_one_that_nobody_else_knows(
    tmp_path: Path, tls: dict[str, str], bundle: str
) -> None:
    text = agents_env(plan(LAB, gateway={"kind": "nginx", "tls": tls}))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        assert read_by_a_shell(text, name, tmp_path) == bundle
    ca = read_by_a_shell(text, "NODE_EXTRA_CA_CERTS", tmp_path)
    assert ca == ("${folder}/fleet-ca.crt" if bundle else "")


def test_three_servers_have_a_sentinel_each_and_users_for_each_other() -> None:
    service = sentinel_store()
    assert "agentfleet-small-state-sentinel.service" in service.units
    assert {"replica", "sentinel"} < users(service).keys()
    assert "+@all" not in users(service)["sentinel"]
    assert service.secrets >= {"stateReplicaPassword", "stateSentinelPassword"}
    for path, file in service.files.items():
        assert not file.secrets or file.mode == "0600", path


def test_on_a_sentinel_the_admin_may_have_another_server_lead_and_nothing_else() -> None:
    lines = sentinel_store().files[f"{FOLDER}/sentinel.conf"].text.splitlines()
    [admin] = [line.split()[4:] for line in lines if line.startswith("user admin ")]
    assert admin == ["resetkeys", "resetchannels", "-@all", "+sentinel|failover"]
    assert not [line for line in lines if line.startswith("user agent ") and "failover" in line]


def test_each_of_three_has_its_turn_and_one_alone_has_nobody_to_wait_for() -> None:
    turns = [sentinel_store(node).peers for node in THREE["nodes"]]
    assert turns == [
        Peers("small/state", f"state on {node}", (f"{FOLDER}/peers",)) for node in THREE["nodes"]
    ]
    assert store().peers is None
    assert service_from_properties(service_to_properties(sentinel_store())) == sentinel_store()


def test_a_server_among_three_starts_from_a_file_that_sentinel_may_write() -> None:
    three, one = sentinel_store(), store()
    path = unit_path("agentfleet-small-state.service")
    assert "/var/lib/agentfleet-small-state/server.conf" in three.files[path].text
    assert f"{FOLDER}/store.conf" in one.files[path].text
    assert "replicaof" not in three.files[f"{FOLDER}/store.conf"].text


def test_agents_of_three_servers_are_told_whom_to_ask(tmp_path: Path) -> None:
    made = plan(LAB, nodes={"source": "lab", "lab": {"count": 3}}, state={"kind": "redis", **THREE})
    expected = ",".join(f"{node.address}:26379" for node in made.nodes)
    assert read_by_a_shell(agents_env(made), "AGENTFLEET_STATE_SENTINELS", tmp_path) == expected
    assert read_by_a_shell(agents_env(made), "AGENTFLEET_STATE_PRIMARY", tmp_path) == "state"
