"""A stack of the real Pulumi engine, driven as an operator would: by the command line, with a backend of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provisioning.places import cache_dir

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "program"
LIMIT_S = 540


@dataclass
class Stack:
    """One stack. `folder` holds its backend, its settings and the resources that the test program declares."""

    folder: Path
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    program: Path = PROGRAM
    config: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What the operator's shell would hold."""
        return {
            **os.environ,
            "PATH": f"{cache_dir() / 'ready' / 'pulumi' / 'bin'}:{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests only",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "FLEET_TEST_RESOURCES": str(self.folder / "resources.json"),
        }

    def create(self) -> None:
        """A project of its own around the program, so that nothing is written into the tree, and an empty stack."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "Pulumi.yaml").write_text(
            _PROJECT.format(main=self.program, virtualenv=ROOT / ".venv", provider=ROOT / "provisioning")
        )
        self.declare({})
        self.run("stack", "init", self.name, "--non-interactive")
        for key, value in self.config.items():
            self.run("config", "set", key, value)
        for key, value in self.secrets.items():
            self.run("config", "set", "--secret", key, value)

    def declare(self, resources: Mapping[str, Any]) -> None:
        """What the next preview or update of the test program wants."""
        (self.folder / "resources.json").write_text(json.dumps(resources))

    def up(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`pulumi up`; its output is in stdout."""
        return self.run("up", "--yes", "--skip-preview", "--non-interactive", *words, check=check)

    def destroy(self) -> None:
        """`pulumi destroy`."""
        self.run("destroy", "--yes", "--skip-preview", "--non-interactive")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        outputs: dict[str, Any] = json.loads(self.run("stack", "output", "--json").stdout)
        return outputs

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One pulumi command; fails the test with its whole output when it does not exit with 0."""
        done = subprocess.run(
            self.command(words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert not check or done.returncode == 0, f"pulumi {' '.join(words)}:\n{done.stdout}"
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The same in the background, in a process group of its own, for tests that kill or interrupt it."""
        return subprocess.Popen(
            self.command(words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def kill(self, process: subprocess.Popen[str]) -> None:
        """kill -9 of pulumi, the program and the provider; then the unlocking that `make up` does."""
        os.killpg(process.pid, signal.SIGKILL)
        for provider in self.providers(process.pid):
            os.kill(provider, signal.SIGKILL)
        process.wait()
        self.run("cancel", "--yes")

    def providers(self, session: int) -> list[int]:
        """Processes that belong to that run, by their session."""
        found = subprocess.run(
            ["pgrep", "--session", str(session)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def command(self, words: Sequence[str]) -> list[str]:
        """The words as a command line for this stack."""
        return ["pulumi", *words, *([] if words[:2] == ("stack", "init") else ["--stack", self.name])]


_PROJECT = """
name: agentfleet
main: {main}
runtime: {{name: python, options: {{virtualenv: {virtualenv}}}}}
plugins: {{providers: [{{name: fleet, path: {provider}}}]}}
"""
