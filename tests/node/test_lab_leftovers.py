"""tools/leftovers sees on a node what a deployment left, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lab_stacks import StartedNode

pytestmark = pytest.mark.node

LEFTOVERS = Path(__file__).resolve().parents[2] / "tools" / "leftovers"

DEPLOY = """
useradd --system probe
echo one > /etc/probe.conf
ln -s /etc/probe.conf /etc/probe.link
printf '[Service]\nExecStart=sleep 1000\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/probe.service
systemctl daemon-reload
systemctl enable --now --quiet probe
nft add table inet probe
chmod 0600 /etc/hosts
"""
REMOVE = """
systemctl disable --now --quiet probe
rm /etc/systemd/system/probe.service /etc/probe.conf /etc/probe.link
systemctl daemon-reload
nft delete table inet probe
userdel probe
chmod 0644 /etc/hosts
"""


def take(node: StartedNode, file: Path) -> Path:
    node.sh("systemctl is-system-running --wait >/dev/null || true")
    file.write_text(node.sh("python3 - snapshot --node <<'PROGRAM'\n" + LEFTOVERS.read_text() + "\nPROGRAM"))
    return file


def compare(before: Path, after: Path, *options: str) -> tuple[int, list[str]]:
    ended = subprocess.run(
        [LEFTOVERS, "compare", *options, before, after], capture_output=True, text=True, check=False
    )
    assert not ended.stderr
    return ended.returncode, ended.stdout.splitlines()


def test_a_deployment_shows_until_it_is_taken_away(lab_node: StartedNode, tmp_path: Path) -> None:
    before = take(lab_node, tmp_path / "before")
    lab_node.sh(DEPLOY)
    code, lines = compare(before, take(lab_node, tmp_path / "deployed"))
    assert code == 1
    shown = {line.split("  ")[0] for line in lines}
    assert shown >= {
        "+ active units: probe.service",
        "+ files: /etc/probe.conf",
        "+ files: /etc/probe.link",
        "+ files: /etc/systemd/system/multi-user.target.wants/probe.service",
        "~ files: /etc/hosts",
        "~ files: /etc/passwd",
        "+ nft: inet probe",
        "+ units: probe.service",
    }
    assert any(line.startswith("+ users: probe:") for line in lines)

    lab_node.sh(REMOVE)
    assert compare(before, take(lab_node, tmp_path / "after")) == (0, [])


def test_what_is_expected_can_be_left_out(lab_node: StartedNode, tmp_path: Path) -> None:
    before = take(lab_node, tmp_path / "before")
    lab_node.sh("echo one > /etc/probe.conf; echo two > /opt/probe")
    after = take(lab_node, tmp_path / "after")
    assert compare(before, after, "--ignore", "files: /etc/probe*")[1][0].startswith(
        "+ files: /opt/probe  -rw-r--r--"
    )
    assert compare(before, after, "--ignore", "files: /etc/*", "--ignore", "files: /opt/*") == (0, [])
