"""What lab nodes do to the computer that they run on: each case has one to itself (own_computer.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.places import cache_dir
from support.traces import ROOT

CASES = Path(__file__).with_name("own_computer.py")


@pytest.mark.usefixtures("lab_ready")
@pytest.mark.parametrize(
    "case",
    [
        "removal_leaves_nothing",
        "sweep_leaves_nothing",
        "last_lab_of_the_computer_turns_forwarding_off",
        "forwarding_that_was_on_stays_on",
        "firewalls_of_others_are_not_touched",
        "start_mends_a_network_that_somebody_broke",
        "nodes_reach_the_world_as_this_computer_and_the_world_not_them",
    ],
)
def test_on_a_computer_of_its_own(tmp_path: Path, case: str) -> None:
    environment = {
        "AGENTFLEET_HOME": str(tmp_path / "home"),
        "AGENTFLEET_CACHE": str(cache_dir()),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "TMPDIR": str(tmp_path),
    }
    words = [
        *([] if os.geteuid() == 0 else ["sudo", "-n"]),
        *("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"),
        *("env", *(f"{name}={value}" for name, value in environment.items())),
        *(sys.executable, str(CASES), case),
    ]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
