"""tools/leftovers sees on a node what a deployment left, and nothing else."""

from __future__ import annotations

from pathlib import Path

from support.lab_stacks import StartedNode
from support.snapshots import differences, snapshot_of

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


def test_a_deployment_shows_until_it_is_taken_away(lab_node: StartedNode, tmp_path: Path) -> None:
    before = snapshot_of(lab_node.shell, tmp_path / "before")
    lab_node.sh(DEPLOY)
    lines = differences(before, snapshot_of(lab_node.shell, tmp_path / "deployed"))
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
    assert differences(before, snapshot_of(lab_node.shell, tmp_path / "after")) == []


def test_what_is_expected_can_be_left_out(lab_node: StartedNode, tmp_path: Path) -> None:
    before = snapshot_of(lab_node.shell, tmp_path / "before")
    lab_node.sh("echo one > /etc/probe.conf; echo two > /opt/probe")
    after = snapshot_of(lab_node.shell, tmp_path / "after")
    [left] = differences(before, after, "files: /etc/*")
    assert left.startswith("+ files: /opt/probe  -rw-r--r--")
    assert differences(before, after, "files: /etc/*", "files: /opt/*") == []
