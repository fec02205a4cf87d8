"""A stack of the real Pulumi engine, driven as an operator would: by the command line, with a backend of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provisioning import lab
from provisioning.lab import LabNodeFacts
from support.claims import claimed_name
from support.lab_stacks import LabStack
from support.readiness import pulumi_bin
from support.shell import Shell
from support.traces import ROOT, traces_of
from tools.stack.checkpoint import mend_checkpoint

PROGRAM = Path(__file__).parent / "pulumi_program"
UP = ("up", "--yes", "--skip-preview", "--non-interactive")
DESTROY = ("destroy", "--yes", "--skip-preview", "--non-interactive")
LIMIT_S = 540

_PROJECT = """
name: agentfleet
main: {main}
runtime: {{name: python, options: {{virtualenv: {virtualenv}}}}}
plugins: {{providers: [{{name: fleet, path: {provider}}}]}}
"""


@dataclass
class Stack:
    """One stack. `folder` holds its backend, its settings and the resources that the test program declares."""

    folder: Path
    name: str
    program: Path = PROGRAM
    config: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def lab(self) -> LabStack:
        """The names and addresses of its lab nodes."""
        return LabStack(self.name)

    def create(self) -> None:
        """A project of its own around the program, so that nothing is written into the tree, and an empty stack."""
        self.folder.mkdir(parents=True, exist_ok=True)
        project = _PROJECT.format(
            main=self.program, virtualenv=ROOT / ".venv", provider=ROOT / "provisioning"
        )
        (self.folder / "Pulumi.yaml").write_text(project)
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
        return self.run(*UP, *words, check=check)

    def destroy(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`pulumi destroy`."""
        return self.run(*DESTROY, check=check)

    def down(self) -> None:
        """What `make down` does: destroy, and then the lab nodes that no state knows of."""
        self.destroy()
        lab.sweep(self.name)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        outputs: dict[str, Any] = json.loads(self.run("stack", "output", "--json").stdout)
        return outputs

    def resources(self, kind: str = "") -> list[dict[str, Any]]:
        """The resources in the state, or those of a kind such as `Host`."""
        deployment = json.loads(self.run("stack", "export").stdout)["deployment"]
        found: list[dict[str, Any]] = deployment.get("resources", [])
        return [one for one in found if not kind or one["type"] == f"fleet:index:{kind}"]

    def shell(self) -> Shell:
        """root's shell on the stack's only lab node."""
        return Shell.of(self.node_facts())

    def node_facts(self) -> LabNodeFacts:
        """The stack's only lab node as it is."""
        [state] = lab.nodes_of(self.name)
        facts = lab.read(state)
        assert facts, f"{state.name} of {self.name} has just been removed"
        return facts

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One pulumi command; fails the test with its whole output when it does not exit with 0."""
        with self.start(*words) as process:
            try:
                output, _ = process.communicate(timeout=LIMIT_S)
            except BaseException:
                self.kill(process)
                raise
        assert not check or process.returncode == 0, f"pulumi {' '.join(words)}:\n{output}"
        return subprocess.CompletedProcess(words, process.returncode, output)

    def fleet(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """How one of `fleet`'s day-two verbs ended for this stack."""
        return subprocess.run(
            [str(ROOT / ".venv" / "bin" / "fleet"), verb, self.name, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The same in the background, in a session of its own, for tests that kill or interrupt it."""
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
        """kill -9 of pulumi, the program and the provider, wherever they are."""
        listed = subprocess.run(
            ["pgrep", "--session", str(process.pid)], capture_output=True, text=True, check=False
        )
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        process.wait()

    def unlock(self) -> None:
        """What `make up` does after an update that was killed."""
        mend_checkpoint(f"file://{self.folder}", self.name, print)
        self.run("cancel", "--yes")

    def command(self, words: Sequence[str]) -> list[str]:
        """The words as a command line for this stack."""
        return ["pulumi", *words, *([] if words[:2] == ("stack", "init") else ["--stack", self.name])]

    @property
    def environment(self) -> dict[str, str]:
        """What the operator's shell would hold."""
        return {
            **os.environ,
            "PATH": f"{pulumi_bin()}:{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self.folder / "pulumi-home"),  # it keeps logs there
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests only",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "FLEET_TEST_RESOURCES": str(self.folder / "resources.json"),
        }


@contextmanager
def destroyed_stack(folder: Path, **settings: Any) -> Iterator[Stack]:
    """An empty stack; at the end of the block nothing is left of it, whatever was done to it."""
    with claimed_name() as name:
        stack = Stack(folder, name, **settings)
        stack.create()
        try:
            yield stack
        finally:
            destroyed = stack.destroy(check=False) if stack.resources() else None
            left = traces_of(name)
            lab.sweep(name)
        assert destroyed is None or destroyed.returncode == 0, destroyed.stdout
        assert left == []
