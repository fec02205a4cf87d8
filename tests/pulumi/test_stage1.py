"""Stage 1 as an operator lives with it: the product's own program, real vLLM on a lab node, one change after another.

The tests of this module build upon each other, in their order: an engine takes most of a minute to start.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from support.pulumi_stacks import Stack
from support.shell import Shell

SPEC = """
name: {name}
workload: {{topology: flat, agents: 5, workflows: 4, context_tokens: 2048}}
models:
  agent: {{config: tiny-llama, weights: {{generated: tiny-llama}}}}
pools:
  agents: {{model: agent, role: agent, port: {port}, max_num_seqs: {max_num_seqs}}}
nodes: {{source: lab, lab: {{count: 1, kv_cache_memory: 64MiB}}}}
engine: {{shutdown_timeout_s: 10, extra_flags: {extra_flags}}}
"""


def declare(stack: Stack, *, port: int = 8000, max_num_seqs: int = 30, extra_flags: str = "{}") -> None:
    spec = SPEC.format(name=stack.name, port=port, max_num_seqs=max_num_seqs, extra_flags=extra_flags)
    (stack.folder / "fleet.yaml").write_text(spec)


def unit(stack: Stack) -> str:
    return f"agentfleet-{stack.name}-agents-0.service"


def node(stack: Stack) -> Shell:
    [host] = stack.resources("Host")
    return Shell.of(host["outputs"]["connection"])


def chat(stack: Stack, key: str = "k" * 32) -> dict[str, Any]:
    body = {"model": "agent", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    request = urllib.request.Request(
        f"{stack.outputs()['endpoint']}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        result: dict[str, Any] = json.load(answer)
    return result


def test_up_ends_with_an_engine_that_answers_and_holds_what_the_plan_promised(fleet_stack: Stack) -> None:
    declare(fleet_stack)
    fleet_stack.up()
    assert chat(fleet_stack)["usage"]["completion_tokens"] == 8
    gate = fleet_stack.outputs()["gate"]["agents-0"]
    assert gate["measured"] == gate["planned"] == 64 * 1024**2 // 1024


def test_the_key_is_asked_for_and_stands_in_no_unit_argument_log_or_state(fleet_stack: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        chat(fleet_stack, key="wrong")
    key, shell = "k" * 32, node(fleet_stack)
    assert key not in shell.run(f"systemctl cat {unit(fleet_stack)}; cat /proc/[0-9]*/cmdline; journalctl")
    assert shell.run("grep -rl kkkkkkkk /etc || :").split() == [
        f"/etc/agentfleet/{fleet_stack.name}/agents-0/secret.env"
    ]
    assert key not in fleet_stack.run("stack", "export").stdout
    assert key not in fleet_stack.run("preview", "--diff").stdout


def test_a_stop_lets_answers_in_flight_end_whole(fleet_stack: Stack) -> None:
    shell, tokens = node(fleet_stack), 400
    body = {"model": "agent", "prompt": "Count", "max_tokens": tokens, "ignore_eos": True, "stream": True}
    request = urllib.request.Request(
        f"{fleet_stack.outputs()['endpoint']}/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {'k' * 32}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        chunks = [answer.readline()]
        shell.run(f"systemctl restart --no-block {unit(fleet_stack)}")
        chunks += [line for line in answer if line.startswith(b"data: ")]
    assert chunks[-1] == b"data: [DONE]\n"
    assert json.loads(chunks[-2][6:])["choices"][0]["finish_reason"] == "length"
    fleet_stack.up("--refresh")
    assert chat(fleet_stack)["usage"]["completion_tokens"] == 8


def test_a_second_up_changes_nothing(fleet_stack: Stack) -> None:
    assert "unchanged" in fleet_stack.up("--expect-no-changes", "--refresh").stdout


def test_a_refresh_names_every_drift_and_up_mends_it(fleet_stack: Stack) -> None:
    shell, name = node(fleet_stack), fleet_stack.name
    shell.run(
        f"sed -i 's/--max-num-seqs 30/--max-num-seqs 31/' /etc/systemd/system/{unit(fleet_stack)}; "
        f"rm /etc/agentfleet/{name}/firewall/rules.nft; chmod 644 /etc/agentfleet/{name}/agents-0/secret.env; "
        f"echo x > /etc/agentfleet/{name}/agents-0/extra.env; systemctl disable --now {unit(fleet_stack)}"
    )
    drift = fleet_stack.run("preview", "--refresh", "--diff").stdout
    for place in (
        "--max-num-seqs 31",
        "rules.nft",
        '"0600" => "0644"',
        "extra.env",
        "active : true => false",
        "enabled: true => false",
    ):
        assert place in drift, f"{place} is not named in\n{drift}"
    fleet_stack.up("--refresh")
    assert "--max-num-seqs 30" in shell.run(f"systemctl cat {unit(fleet_stack)}")
    assert shell.run(f"stat -c %a /etc/agentfleet/{name}/agents-0/secret.env").strip() == "600"
    assert "extra.env" not in shell.run(f"ls /etc/agentfleet/{name}/agents-0")
    assert chat(fleet_stack)["usage"]["completion_tokens"] == 8


def test_a_flushed_firewall_is_drift_although_systemd_calls_its_unit_active(fleet_stack: Stack) -> None:
    shell, table = node(fleet_stack), f"inet agentfleet_{fleet_stack.name.replace('-', '_')}"
    shell.run("nft flush ruleset")
    assert (
        f"agentfleet-{fleet_stack.name}-firewall.service"
        in fleet_stack.run("preview", "--refresh", "--diff").stdout
    )
    fleet_stack.up("--refresh")
    assert "dport" in shell.run(f"nft list table {table}")


def test_what_was_edited_but_not_restarted_is_mended_without_a_restart(fleet_stack: Stack) -> None:
    shell = node(fleet_stack)
    started = shell.run(f"systemctl show --value -p InvocationID {unit(fleet_stack)}")
    shell.run(f"sed -i 's/--max-num-seqs 30/--max-num-seqs 31/' /etc/systemd/system/{unit(fleet_stack)}")
    fleet_stack.up("--refresh")
    assert "--max-num-seqs 30" in shell.run(f"cat /etc/systemd/system/{unit(fleet_stack)}")
    assert shell.run(f"systemctl show --value -p InvocationID {unit(fleet_stack)}") == started


def test_a_flag_that_vllm_refuses_fails_with_its_own_words_and_the_old_version_serves(
    fleet_stack: Stack,
) -> None:
    declare(fleet_stack, extra_flags="{tokenizer-mode: nonsense}")
    failed = fleet_stack.up(check=False)
    assert failed.returncode != 0
    assert re.search(rf"host node-1: unit {unit(fleet_stack)} .*its last lines:", failed.stdout)
    assert "nonsense" in failed.stdout
    assert "the previous version is running again" in failed.stdout
    assert chat(fleet_stack)["usage"]["completion_tokens"] == 8


def test_a_port_that_is_taken_fails_and_the_old_version_serves(fleet_stack: Stack) -> None:
    shell = node(fleet_stack)
    address = shell.address
    shell.run(f"systemd-run --quiet --unit=squatter python3 -m http.server --bind {address} 8001")
    declare(fleet_stack, port=8001)
    failed = fleet_stack.up(check=False)
    shell.run("systemctl stop squatter")
    assert failed.returncode != 0
    assert "ddress already in use" in failed.stdout
    assert "the previous version is running again" in failed.stdout


def test_a_changed_flag_shows_as_one_line_and_fixing_the_spec_succeeds(fleet_stack: Stack) -> None:
    declare(fleet_stack, max_num_seqs=24)
    preview = fleet_stack.run("preview", "--diff").stdout
    assert re.search(r"-\s+--max-num-seqs 30.*\n\s+\+\s+--max-num-seqs 24", preview)
    fleet_stack.up()
    assert "--max-num-seqs 24" in node(fleet_stack).run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert chat(fleet_stack)["usage"]["completion_tokens"] == 8
    assert fleet_stack.outputs()["gate"]["agents-0"]["measured"] == 65536


def test_destroy_leaves_no_machine(fleet_stack: Stack) -> None:
    fleet_stack.destroy()
    assert fleet_stack.resources() == []
