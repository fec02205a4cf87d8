"""The day-two verbs on a real machine, with stand-ins for what they look at: an engine's pages and a `rotate`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.lab_stacks import LabStack, StartedNode
from support.waiting import wait_for_output

PAGE = (Path(__file__).parents[1] / "unit" / "day_two" / "vllm-0.32.0.prom").read_text()

ENGINE = """\
[Service]
WorkingDirectory=/srv/engine
ExecStart=/usr/bin/python3 -u -m http.server 8000
[Install]
WantedBy=multi-user.target
"""

ROTATE = r"""#!/bin/sh
# A gateway of two replicas; each question for what is in flight finds one request less.
cd /srv/ring
case $1/${2:-} in
out/agents-0) echo "out $3" >agents-0 ;;
in/agents-0) echo "in" >agents-0 ;;
in-flight/agents-0) cat flying; echo $(($(cat flying) - ($(cat flying) > 0))) >flying ;;
status/)
    read -r ring by <agents-0
    printf '{"pools": {"agents": {"replicas": {"agents-0": {"ring": "%s", "out_by": "%s",' "$ring" "$by"
    printf ' "healthy": true}, "agents-1": {"ring": "in", "out_by": null, "healthy": true}}}}}\n'
    ;;
*) exit 3 ;;
esac
"""

MAKE = """# make the stand-ins
command -v curl || { apt-get -qq update; apt-get -qq install -y --no-install-recommends curl; } >/dev/null 2>&1
mkdir -p /srv/engine /srv/ring
: >/srv/engine/health
cat >/srv/engine/metrics
echo in >/srv/ring/agents-0
echo 2 >/srv/ring/flying
"""


def inventory(stack: LabStack, node: StartedNode) -> dict[str, Any]:
    """The engine agents-0 beside the gateway, and agents-1 on a machine that nobody has."""
    facts = node.facts
    way_in = {
        "port": facts.port,
        "user": facts.user,
        "host_key": facts.host_key,
        "identity_file": facts.identity_file,
        "password_config": "",
    }
    replicas = [
        {
            "name": f"agents-{index}",
            "pool": "agents",
            "node": f"node-{index + 1}",
            "unit": f"agentfleet-demo-agents-{index}",
            "local_url": f"http://{stack.address(11 + index)}:8000",
            "slots": 30,
            "kv_tokens": 65_536,
        }
        for index in (0, 1)
    ]
    gateway = {
        "kind": "nginx",
        "node": "node-1",
        "unit": "agentfleet-demo-agents-0",
        "rotate": "/srv/rotate",
        "base_url": f"http://{stack.address(11)}:8000",
        "local_url": f"http://{stack.address(11)}:8000",
        "drain_timeout_s": 60,
    }
    machines = {f"node-{index}": {"address": stack.address(10 + index), **way_in} for index in (1, 2)}
    return {"stack": "demo", "machines": machines, "replicas": replicas, "gateway": gateway, "state": None}


@pytest.fixture
def fleet(lab_stack: LabStack, lab_node: StartedNode, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `fleet` in its own process, with a stand-in for Pulumi that knows this inventory."""
    lab_node.sh(MAKE, stdin=PAGE)
    lab_node.sh("cat >/etc/systemd/system/agentfleet-demo-agents-0.service", stdin=ENGINE)
    lab_node.sh("cat >/srv/rotate; chmod +x /srv/rotate", stdin=ROTATE)
    lab_node.sh("systemctl daemon-reload; systemctl start agentfleet-demo-agents-0")
    outputs = json.dumps({"inventory": inventory(lab_stack, lab_node)})
    (tmp_path / "outputs.json").write_text(outputs)
    (tmp_path / "pulumi").write_text(f"#!/bin/sh\nexec cat {tmp_path}/outputs.json\n")
    (tmp_path / "pulumi").chmod(0o755)

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from infra.cli.main import main; raise SystemExit(main())", *words],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_status_drain_and_undrain_where_one_machine_is_gone(
    lab_node: StartedNode, fleet: Callable[..., subprocess.Popen[str]]
) -> None:
    def run(*words: str) -> tuple[int, Any, str]:
        process = fleet(*words, "--format", "json")
        out, err = process.communicate(timeout=60)
        return process.returncode, json.loads(out), err

    code, seen, _ = run("status", "demo")
    assert code == 1
    here, gone = seen["replicas"]
    assert (here["unit_state"], here["ready"], here["ring"]) == ("active (running)", True, "in")
    assert (here["requests_running"], here["restarts"], here["problem"]) == (3, 0, None)
    assert here["prefix_cache_hit_rate"] == pytest.approx(1536 / 2121)
    assert (gone["unit_state"], gone["problem"]) == (None, "its machine does not answer")
    assert seen["machines"][1]["problem"].startswith("host node-2: no way to ")
    code, drained, err = run("drain", "demo", "node-1")
    assert (code, drained["drained"]) == (0, True)
    assert [line.partition(";")[0] for line in err.splitlines()] == [
        "agents-0 has 2 in flight",
        "agents-0 has 1 in flight",
    ]
    assert lab_node.sh("cat /srv/ring/agents-0") == "out operator\n"
    _, seen, _ = run("status", "demo")
    assert seen["replicas"][0]["problem"].startswith("drained by an operator: `fleet undrain demo node-1`")
    assert run("undrain", "demo", "node-1")[0] == 0
    assert lab_node.sh("cat /srv/ring/agents-0") == "in\n"


def test_logs_follow_a_unit_through_its_restart(
    lab_node: StartedNode, fleet: Callable[..., subprocess.Popen[str]]
) -> None:
    process = fleet("logs", "demo", "agents-0", "--follow")
    try:
        wait_for_output(process, "Started agentfleet-demo-agents-0.service")
        lab_node.sh("systemctl restart agentfleet-demo-agents-0")
        wait_for_output(process, "Stopped agentfleet-demo-agents-0.service")
        lab_node.sh("until curl -s http://127.0.0.1:8000/in-the-log; do sleep 0.1; done >/dev/null")
        wait_for_output(process, "/in-the-log")
    finally:
        process.terminate()
        process.communicate()
