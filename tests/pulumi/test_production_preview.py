"""The production example can be previewed by anybody: no host is touched, and every file shows its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.pulumi_stacks import Stack
from support.traces import ROOT

pytestmark = pytest.mark.usefixtures("pulumi_ready")


def test_the_production_example_previews_without_a_host(tmp_path: Path) -> None:
    spec = ROOT / "stacks" / "production.fleet.yaml"
    stack = Stack(
        tmp_path,
        "production",
        program=ROOT,
        config={"agentfleet:spec": str(spec)},
        secrets={f"agentfleet:{name}": "not-to-be-seen" for name in ("apiKey", "caKey", "sshPassword")},
    )
    stack.create()
    preview = stack.run("preview", "--diff").stdout
    assert "fleet:index:Host: (create)" in preview
    assert "--max-num-seqs" in preview
    assert "[secret]" in preview
    assert "not-to-be-seen" not in preview


def test_a_broken_spec_is_all_its_sentences_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("name: x\nworkload: {topology: flatt}\nnode: {}\n")
    stack = Stack(
        tmp_path / "stack", "broken", program=ROOT, config={"agentfleet:spec": str(tmp_path / "fleet.yaml")}
    )
    stack.create()
    failed = stack.run("preview", check=False).stdout
    assert "fleet.yaml:2: workload.topology: " in failed
    assert "fleet.yaml:3: node: " in failed
    assert "Traceback" not in failed


def test_a_missing_secret_is_named_with_the_command_that_sets_it(tmp_path: Path) -> None:
    spec = ROOT / "stacks" / "stage1.fleet.yaml"
    stack = Stack(tmp_path, "keyless", program=ROOT, config={"agentfleet:spec": str(spec)})
    stack.create()
    failed = stack.run("preview", check=False).stdout
    assert "pulumi config set" in failed
    assert "apiKey" in failed
    assert "Traceback" not in failed
