"""A look at a machine that does not go through the code under test: the ssh program, with the pinned host key."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from provisioning.lab import LabNodeFacts

LIMIT_S = 120


@dataclass(frozen=True)
class Shell:
    """A machine's shell: root's on a lab node."""

    address: str
    user: str
    host_key: str
    identity_file: str
    port: int = 22

    @classmethod
    def of(cls, way_in: LabNodeFacts | Mapping[str, Any]) -> Self:
        """By a lab node's facts, or by the `connection` that a Host puts out."""
        values = way_in if isinstance(way_in, Mapping) else asdict(way_in)
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})

    def run(self, script: str, stdin: str = "") -> str:
        """The script's output; a failing script fails the test with what it said."""
        ended = self.try_run(script, stdin)
        assert ended.returncode == 0, f"{script}\nexit {ended.returncode}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def try_run(self, script: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """How the script ended."""
        with tempfile.TemporaryDirectory() as folder:
            known_hosts = Path(folder, "known_hosts")
            name = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
            known_hosts.write_text(f"{name} {self.host_key}\n")
            words = [
                *("ssh", "-F", "none", "-i", self.identity_file, "-p", str(self.port)),
                *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10"),
                *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"),
                *("-o", "LogLevel=ERROR", f"{self.user}@{self.address}", script),
            ]
            return subprocess.run(
                words, input=stdin, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
