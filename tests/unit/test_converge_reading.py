"""Answers of machines and programs, parsed: records, unit states, apt's simulation, Prometheus pages, properties."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace

import pytest

from provisioning.converge.actual import ActualFile, ActualUnit, parse_actual
from provisioning.converge.health import read_sample_label
from provisioning.converge.packages import parse_idle, parse_simulation
from provisioning.converge.record import (
    Install,
    Record,
    ServiceRecord,
    Started,
    inherit,
    needed_packages,
    owner_of,
    parse_record,
)
from provisioning.errors import ProvisioningError
from provisioning.properties import service_from_properties, service_to_properties
from provisioning.state import (
    Artifact,
    Gate,
    OnChange,
    Probe,
    Ready,
    RenderedFile,
    Rotation,
    ServiceState,
    Unit,
)

SERVICE = ServiceState(
    name="agents-0",
    packages=("curl",),
    files={"/etc/x": RenderedFile("a\n", "0600", "root", "adm", OnChange.RELOAD)},
    directories=("/etc/agentfleet/x",),
    artifacts={
        "/opt/e": Artifact("k", "engine", "true", {"lock": "infra/lock"}, 60, ("key",), OnChange.RELOAD)
    },
    checks=(("true", "x"),),
    units={"x.service": Unit(active=False, proof=("test", "-e", "/x y"))},
    ready=Ready("x.service", (Probe("https://127.0.0.1:1/", headers={"A": "b"}, ca="/ca"),), 5),
    gate=Gate("http://127.0.0.1:1/metrics", "m", "l", 10, 0.1, "KV tokens", "change x"),
    rotation=Rotation("demo/agents", "agents-0", "192.0.2.1:8000", ("/rotate", "-v"), 300),
)


def test_the_answer_of_a_machine_is_read_line_by_line() -> None:
    content = base64.b64encode(b"hello\n").decode()
    answer = (
        f"file\t/etc/x\t600\troot\tadm\t{content}\n"
        "unit\tx.service\tLoadState=loaded\tActiveState=active\tSubState=running\tUnitFileState=enabled"
        "\tInvocationID=abc\tNRestarts=2\t\n"
        "unit\ty.service\tLoadState=not-found\tActiveState=inactive\t\n"
        "unit\tz.service\tLoadState=loaded\tActiveState=activating\tSubState=auto-restart\tNRestarts=\t\n"
        "unit\tf.service\tLoadState=loaded\tActiveState=active\tSubState=exited\t\n"
        "disproved\tf.service\n"
        "package\tcurl\n"
        "artifact\t/opt/e\tkey one\n"
    )
    actual = parse_actual(answer)
    assert actual.files == {"/etc/x": ActualFile("hello\n", "0600", "root", "adm")}
    assert actual.units["x.service"] == ActualUnit(True, True, False, "active (running)", "abc", 2)
    assert actual.units["y.service"] == ActualUnit()
    assert actual.units["z.service"].failed
    assert not actual.units["z.service"].active
    assert (actual.units["f.service"].active, actual.units["f.service"].state) == (False, "active (exited)")
    assert (actual.packages, actual.artifacts) == (frozenset({"curl"}), {"/opt/e": "key one"})


def test_only_new_packages_of_a_simulation_count_as_brought() -> None:
    simulation = (
        "Inst libnginx-mod (1.22 Debian:12 [amd64])\n"
        "Inst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])\n"
        "Inst nginx-light (1.22 Debian:12 [amd64])\n"
        "Conf nginx-light (1.22 Debian:12 [amd64])\n"
    )
    assert parse_simulation(simulation) == ("libnginx-mod", "nginx-light")


PAGE = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
vllm:cache_config_info{block_size="128",engine="0",kv_cache_size_tokens="65536",num_gpu_blocks="512"} 1.0
vllm:num_requests_running{model_name="m"} 0.0
"""


@pytest.mark.parametrize(
    ("metric", "label", "value"),
    [
        ("vllm:cache_config_info", "kv_cache_size_tokens", 65536),
        ("vllm:cache_config_info", "block_size", 128),
        ("vllm:cache_config_info", "size_tokens", None),
        ("vllm:cache_config", "block_size", None),
    ],
)
def test_a_label_of_a_sample_is_read_by_its_whole_name(metric: str, label: str, value: int | None) -> None:
    assert read_sample_label(PAGE, metric, label) == value


def test_a_record_survives_being_written_and_read() -> None:
    service = ServiceRecord(
        ("curl",),
        {"/etc/x": ""},
        ("/etc/agentfleet",),
        ("x.service",),
        {"/opt/e": True},
        {"x.service": Started("d", "i")},
    )
    record = Record("stage1", {"agents-0": service}, (Install(("curl",), ("curl", "libcurl4")),))
    assert parse_record(json.dumps(asdict(record))) == record
    idle = replace(record, installs=(replace(record.installs[0], idle=("x.timer",)),))
    assert parse_record(json.dumps(asdict(idle))) == idle
    earlier = asdict(record)
    del earlier["installs"][0]["idle"]
    assert parse_record(json.dumps(earlier)).installs[0].idle == ()


def test_a_record_keeps_the_order_in_which_services_were_first_brought() -> None:
    record = Record("stage1")
    for name in ("firewall", "agents-0", "gateway", "firewall"):
        record = record.with_service(name, ServiceRecord((name,)))
    record = record.with_service("agents-0", None)
    assert [*parse_record(json.dumps(asdict(record))).services] == ["firewall", "gateway"]


@pytest.mark.parametrize(
    ("answer", "idle"),
    [("", ()), ("idle nginx.service\nidle x.timer\n", ("nginx.service", "x.timer")), ("missing\n", None)],
)
def test_packages_that_are_not_all_there_are_looked_at_again(
    answer: str, idle: tuple[str, ...] | None
) -> None:
    assert parse_idle(answer) == idle


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"stack": "x"}', '{"stack":"x","services":{"a":{}},"installs":[]}']
)
def test_a_damaged_record_is_said_to_be_damaged(text: str) -> None:
    with pytest.raises(ProvisioningError, match="is damaged"):
        parse_record(text)


def test_the_last_user_of_a_package_inherits_its_removal() -> None:
    install = Install(("curl",), ("curl", "libcurl4"))
    theirs = Record("other", {"web": ServiceRecord(("curl",))}, (install,))
    ours = inherit(Record("mine"), [theirs], ["curl"])
    assert ours.installs == (install,)
    assert inherit(ours, [theirs], ["curl"]) == ours
    assert needed_packages([theirs]) == {"curl"}


def test_a_file_has_one_owner() -> None:
    records = [Record("a", {"web": ServiceRecord(files={"/etc/x": ""})})]
    assert owner_of("/etc/x", records, "a", "web") is None
    assert owner_of("/etc/x", records, "a", "other") == "a/web"
    assert owner_of("/etc/y", records, "a", "other") is None


def test_a_service_survives_being_properties() -> None:
    assert service_from_properties(service_to_properties(SERVICE)) == SERVICE


def test_what_a_later_version_added_is_left_out_where_it_is_not_used() -> None:
    """Else a stack that lacks it would show a change."""
    plain = replace(
        SERVICE, artifacts={"/opt/e": Artifact("k", "t", "true")}, ready=Ready("u", (Probe("http://a"),), 5)
    )
    properties = service_to_properties(plain)
    assert {"made_from", "on_change"}.isdisjoint(properties["artifacts"]["/opt/e"])
    assert "ca" not in properties["ready"]["probes"][0]
    assert service_from_properties(properties) == plain


def test_artifacts_keep_their_order_when_a_map_loses_its_own() -> None:
    artifacts = {
        path: Artifact(path, path, "true") for path in ("/opt/engine", "/opt/a-model", "/opt/z", "/opt/b")
    }
    properties = service_to_properties(replace(SERVICE, artifacts=artifacts))
    shuffled = {**properties, "artifacts": dict(sorted(properties["artifacts"].items()))}
    assert list(service_from_properties(shuffled).artifacts) == list(artifacts)


def test_a_service_survives_a_state_file_that_knows_only_numbers() -> None:
    plain = json.loads(json.dumps(service_to_properties(SERVICE)))
    plain["gate"]["tolerance"] = 0
    assert service_from_properties(plain).gate == Gate(
        "http://127.0.0.1:1/metrics", "m", "l", 10, 0.0, "KV tokens", "change x"
    )
