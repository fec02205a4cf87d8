"""A look at a machine that does not go through the code under test: the ssh program, with the pinned key."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shell:
    """root's shell on the machine that the `connection` output of a Host names."""

    connection: Mapping[str, Any]

    def run(self, script: str, stdin: str = "") -> str:
        """The script's standard output; a failing script fails the test with what it said."""
        with tempfile.TemporaryDirectory() as folder:
            known_hosts = Path(folder) / "known_hosts"
            known_hosts.write_text(f"{self.connection['address']} {self.connection['host_key']}\n")
            done = subprocess.run(
                [
                    *("ssh", "-i", self.connection["identity_file"], "-o", "BatchMode=yes"),
                    *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"),
                    f"{self.connection['user']}@{self.connection['address']}",
                    script,
                ],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout
