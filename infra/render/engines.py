"""Engines: what stands on a node for each replica."""

from __future__ import annotations

import json
import re

from infra.plan.fleet_plan import FleetPlan, NodePlan, ReplicaPlan, Setting
from infra.plan.guards import ENGINES
from infra.render.artifacts import replica_artifacts
from infra.render.firewall import firewall_unit, port_guard
from infra.render.templates import template_text
from infra.render.words import UNITS, systemd_word
from provisioning.state import Gate, Probe, Ready, RenderedFile, Rotation, ServiceState, Unit

_GPU_PACKAGES = (
    "ca-certificates",
    "curl",
    "g++",
    "gcc",
    "libnuma1",
    "nftables",
    "python3-dev",
    "python3-venv",
)
"""Compilers and headers are for Triton and Inductor, which build kernels while the engine runs."""

_CPU_PACKAGES = ("ca-certificates", "curl", "libnuma1", "nftables", "python3-venv")
_LAB_PACKAGES = ("curl", "libnuma1", "nftables", "python3")

_STOP_GRACE_S = 30
"""On top of the engine's own deadline, after which connections can hang (seen with vLLM 0.32.0)."""

_AS_NOBODY = (
    *("runuser", "-u", "nobody", "--", "sh", "-c"),
    'ls -- "$1/config.json" && for f in "$1"/*; do [ ! -f "$f" ] || head -c 1 -- "$f" >/dev/null || exit 1; done',
    "sh",
)
"""Weights that the unit's own user may not read: vLLM would say that they do not exist."""

_AUTHORIZATION = {"Authorization": "Bearer ${secret:apiKey}"}


def replica_service(plan: FleetPlan, node: NodePlan, replica: ReplicaPlan) -> ServiceState:
    """The engine, its weights, its unit, when it is ready and what its gate asks."""
    folder, unit = f"/etc/agentfleet/{plan.name}/{replica.name}", f"{replica.unit}.service"
    return ServiceState(
        name=replica.name,
        packages=_packages(node),
        files={
            f"{folder}/replica.env": RenderedFile(
                template_text("vllm/replica.env.j2", replica=replica, lines=_env_lines(replica))
            ),
            f"{folder}/secret.env": RenderedFile(template_text("vllm/secret.env.j2"), mode="0600"),
            f"{UNITS}/{unit}": RenderedFile(_unit_text(plan, replica, folder)),
        },
        directories=(folder,),
        artifacts=replica_artifacts(replica),
        checks=(*_given_folders(replica), ("systemd-analyze", "verify", f"{UNITS}/{unit}")),
        units={unit: Unit()},
        ready=Ready(unit, _probes(replica), replica.ready_timeout_s),
        gate=_gate(replica),
        rotation=_rotation(plan, node, replica),
    )


def _packages(node: NodePlan) -> tuple[str, ...]:
    if node.lab:
        return _LAB_PACKAGES
    return _CPU_PACKAGES if node.on_cpu else _GPU_PACKAGES


def _unit_text(plan: FleetPlan, replica: ReplicaPlan, folder: str) -> str:
    return template_text(
        "vllm/replica.service.j2",
        fleet=plan.name,
        replica=replica,
        folder=folder,
        firewall_unit=firewall_unit(plan),
        guard=port_guard(plan, replica.name, ENGINES, [replica.port]),
        weights_folder=systemd_word(replica.weights.folder),
        flags=[" ".join(systemd_word(word) for word in command_words(flag)) for flag in replica.flags],
        # A crash loop must trip the limit although every try takes as long as a start may.
        start_limit_interval_s=5 * replica.ready_timeout_s,
        stop_timeout_s=replica.shutdown_timeout_s + _STOP_GRACE_S,
    )


def command_words(flag: Setting) -> tuple[str, ...]:
    """A flag as words of the command line."""
    return (flag.name, flag.value) if flag.value else (flag.name,)


def command_line(replica: ReplicaPlan) -> tuple[str, ...]:
    """The engine's whole command line, word by word."""
    words = (word for flag in replica.flags for word in command_words(flag))
    return (f"{replica.engine.folder}/bin/vllm", "serve", replica.weights.folder, *words)


def _env_lines(replica: ReplicaPlan) -> list[str]:
    return [f"{setting.name}={_env_value(setting.value)}" for setting in replica.environment]


def _env_value(value: str) -> str:
    if re.fullmatch(r"[\w./:,@+-]*", value):
        return value
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _given_folders(replica: ReplicaPlan) -> tuple[tuple[str, ...], ...]:
    """Folders that somebody else brings are looked at before the unit is started."""
    engine = () if replica.engine.lock else (("ls", "--", f"{replica.engine.folder}/bin/vllm"),)
    weights = () if replica.weights.source == "hub" else ((*_AS_NOBODY, replica.weights.folder),)
    return (*engine, *weights)


def _probes(replica: ReplicaPlan) -> tuple[Probe, ...]:
    """The engine lives, knows the model, and writes one token of it."""
    one_token = {"model": replica.served_name, "prompt": "ready", "max_tokens": 1}
    return (
        Probe(f"{replica.local_url}/health"),
        Probe(f"{replica.local_url}/v1/models", headers=_AUTHORIZATION),
        Probe(
            f"{replica.local_url}/v1/completions",
            body=json.dumps(one_token),
            headers=_AUTHORIZATION,
            timeout_s=120,
        ),
    )


def _rotation(plan: FleetPlan, node: NodePlan, replica: ReplicaPlan) -> Rotation | None:
    """Replicas of one pool stand in for each other, so one of them at a time may be away."""
    if plan.gateway is None:
        return None
    return Rotation(
        ring=f"{plan.name}/{replica.pool}",
        member=replica.name,
        address=f"{node.listen_address}:{replica.port}",
        command=(plan.gateway.rotate,),
        drain_timeout_s=plan.gateway.drain_timeout_s,
    )


def _gate(replica: ReplicaPlan) -> Gate | None:
    if replica.gate_tolerance is None:
        return None
    return Gate(
        url=f"{replica.local_url}/metrics",
        metric="vllm:cache_config_info",
        label="kv_cache_size_tokens",
        planned=replica.memory.kv_cache_tokens,
        tolerance=replica.gate_tolerance,
        unit_of_measure="tokens of KV cache",
        advice=_advice(replica),
    )


def _advice(replica: ReplicaPlan) -> str:
    slots = f"the plan counts on {replica.slots} sessions in {replica.name}"
    if not replica.gpu_ids:
        return f"{slots}: check that models.{replica.model}.config is the config.json of the weights"
    return (
        f"{slots}: see whether another process holds memory of GPU {', '.join(map(str, replica.gpu_ids))}, then change "
        f"engine.gpu_memory_utilization or workload.context_tokens, or allow the difference by gate.tolerance"
    )
