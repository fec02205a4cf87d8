"""What the rendered gateway promises, whatever the plan: secrets, reloads, certificates and the data that Lua reads."""

from __future__ import annotations

import dataclasses
import json
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.plan.authority import CA_SECRET
from infra.plan.fleet_plan import FleetPlan
from infra.plan.gateway import GatewayPlan, GatewayPool, GatewayReplica, TlsPlan
from infra.render.nginx import nginx_service
from infra.spec.kinds import TlsKind
from provisioning.state import OnChange, ServiceState

FOLDER = "/etc/agentfleet/demo/gateway"
UNIT = "/etc/systemd/system/agentfleet-demo-gateway.service"
GENERATED = TlsPlan(kind=TlsKind.GENERATED)
FILES = TlsPlan(kind=TlsKind.FILES, certificate="/etc/ssl/fleet.pem", key="/etc/ssl/fleet.key")

PLAN = GatewayPlan(
    kind="nginx",
    unit="agentfleet-demo-gateway",
    user="agentfleet-demo-gateway",
    node="node-1",
    address="fleet.example.com",
    listen_address="10.0.0.7",
    port=8080,
    base_url="http://fleet.example.com:8080",
    folder=FOLDER,
    run_folder="/run/agentfleet-demo-gateway",
    pools=(GatewayPool("agents", "agent", "tiny", (GatewayReplica("agents-0", "10.0.0.8", 8000, 30, 48),)),),
    front_pool="agents",
    session_header="X-Agent-Session",
    session_cookie="agent",
    session_idle_s=600,
    load_factor=1.25,
    tls=TlsPlan(),
    client_keys=("second", "apiKey"),
    request_limit_bytes=32 << 20,
    drain_timeout_s=300,
    ready_timeout_s=60,
    decisions=(),
)


def service(**changes: Any) -> ServiceState:
    fleet = cast("FleetPlan", SimpleNamespace(name="demo"))
    return nginx_service(fleet, dataclasses.replace(PLAN, **changes))


def text(path: str, **changes: Any) -> str:
    return service(**changes).files[path].text


def test_secrets_stand_in_one_file_of_roots_alone_and_each_key_once() -> None:
    holding = {path: file.mode for path, file in service().files.items() if file.secrets}
    assert holding == {f"{FOLDER}/secrets": "0600"}
    assert text(f"{FOLDER}/secrets").splitlines() == [
        "engine ${secret:apiKey}",
        "client apiKey ${secret:apiKey}",
        "client second ${secret:second}",
    ]


def test_only_the_unit_asks_for_a_restart() -> None:
    restarting = [path for path, file in service().files.items() if file.on_change is OnChange.RESTART]
    assert restarting == [UNIT]


@pytest.mark.parametrize(
    "changes",
    [
        {"pools": ()},
        {"load_factor": None},
        {"session_idle_s": 60},
        {"client_keys": ()},
        {"request_limit_bytes": 1 << 20},
    ],
)
def test_a_change_of_what_an_operator_tunes_leaves_the_unit_as_it_is(changes: dict[str, Any]) -> None:
    assert text(UNIT, **changes) == text(UNIT)
    assert service(**changes) != service()


def test_the_data_are_the_plans() -> None:
    pools = json.loads(text(f"{FOLDER}/pools.json"))
    assert pools == {
        "front_pool": "agents",
        "pools": [
            {
                "name": "agents",
                "role": "agent",
                "served_name": "tiny",
                "replicas": [
                    {"name": "agents-0", "address": "10.0.0.8:8000", "slots": 30, "max_num_seqs": 48}
                ],
            }
        ],
    }
    settings = json.loads(text(f"{FOLDER}/settings.json"))
    assert settings["session_header_variable"] == "http_x_agent_session"
    assert settings["session_cookie_variable"] == "cookie_agent"
    assert settings["load_factor"] == 1.25


def test_without_a_bound_there_is_no_load_factor_because_luas_null_counts_as_true() -> None:
    assert "load_factor" not in json.loads(text(f"{FOLDER}/settings.json", load_factor=None))


def test_lua_is_used_as_it_stands_and_the_check_loads_all_of_it() -> None:
    modules = [path for path in service().files if path.endswith(".lua")]
    assert f"{FOLDER}/lua/gateway.lua" in modules
    for module in modules:
        assert f'loadfile("{module}")' in text(f"{FOLDER}/check.conf")


@pytest.mark.parametrize(
    ("tls", "certificate", "asked"),
    [
        (
            GENERATED,
            r"/opt/agentfleet/certificates/agentfleet-demo-gateway-[0-9a-f]{12}/",
            "https://10.0.0.7:8080/v1/models",
        ),
        (FILES, "/etc/ssl/", "http://127.0.0.1:8080/v1/models"),
    ],
)
def test_with_tls_certificate_and_key_are_handed_over_and_the_deployment_asks_where_it_can_check(
    tls: TlsPlan, certificate: str, asked: str
) -> None:
    conf = text(f"{FOLDER}/nginx.conf", tls=tls)
    assert "listen 10.0.0.7:8080 backlog=4096 ssl;" in conf
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in conf
    assert ("listen 127.0.0.1:8080;" in conf) is (tls is FILES)
    assert re.search(rf"^give {certificate}\S+ key.pem$", text(f"{FOLDER}/prepare", tls=tls), re.MULTILINE)
    made = service(tls=tls)
    assert made.ready
    [probe] = made.ready.probes
    assert probe.url == asked
    assert re.fullmatch(rf"{certificate}ca.crt" if tls is GENERATED else "", probe.ca)
    assert bool(made.artifacts) is (tls.kind is TlsKind.GENERATED)
    assert ("openssl" in made.packages) is (tls.kind is TlsKind.GENERATED)


def test_a_generated_certificate_names_what_clients_and_the_node_say_and_another_address_gets_another() -> (
    None
):
    [(folder, artifact)] = service(tls=GENERATED).artifacts.items()
    assert (
        "\nsubjectAltName=DNS:fleet.example.com,IP:10.0.0.7,IP:127.0.0.1,DNS:localhost\n" in artifact.script
    )
    assert folder not in service(tls=GENERATED, address="10.0.0.9").artifacts


def test_a_new_ca_makes_the_certificate_anew_and_asks_for_a_reload() -> None:
    [artifact] = service(tls=GENERATED).artifacts.values()
    assert (artifact.made_from, artifact.on_change) == ((CA_SECRET,), OnChange.RELOAD)
    assert service(tls=GENERATED).secrets == {"apiKey", "second", CA_SECRET}


def test_without_tls_nothing_of_it_is_rendered() -> None:
    assert "ssl" not in text(f"{FOLDER}/nginx.conf")
    assert "pem" not in text(f"{FOLDER}/prepare")


@pytest.mark.parametrize(("port", "capability"), [(8080, ""), (443, "CAP_NET_BIND_SERVICE")])
def test_the_unit_has_no_more_privilege_than_its_port_asks_for(port: int, capability: str) -> None:
    assert f"\nCapabilityBoundingSet={capability}\n" in text(UNIT, port=port)
    assert ("AmbientCapabilities" in text(UNIT, port=port)) is bool(capability)


def test_no_stream_is_buffered_and_nothing_that_was_sent_is_sent_again() -> None:
    conf = text(f"{FOLDER}/nginx.conf")
    assert "proxy_buffering off;" in conf
    assert re.findall(r"proxy_next_upstream .*", conf) == ["proxy_next_upstream error timeout;"]
    assert "body_filter_by_lua" not in conf
