"""The environment in which Pulumi runs a stack here: its programs on PATH, a backend and a passphrase.

What the operator has set is never overridden. Standard library only: `tools/run` starts with the computer's own Python.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioning.places import cache_dir, state_dir

PASSPHRASE_BYTES = 32


@dataclass(frozen=True)
class Layout:
    """The folders that matter to a stack on this computer."""

    repo: Path
    pulumi_bin: Path
    state: Path

    @property
    def venv_bin(self) -> Path:
        """The programs of the project's environment."""
        return self.repo / ".venv" / "bin"

    @property
    def backend(self) -> Path:
        """Pulumi's own state, where the operator has chosen no other backend."""
        return self.state / "pulumi"

    def agents(self, stack: str) -> Path:
        """Where agents.env of this stack is written, unless the operator names another folder."""
        return self.state / "agents" / stack

    @property
    def passphrase_file(self) -> Path:
        """The generated passphrase that encrypts the stacks' secrets."""
        return self.state / "passphrase"


def this_layout() -> Layout:
    """The layout of this checkout and this user."""
    pulumi = (cache_dir() / "ready" / "pulumi").resolve()
    return Layout(repo=Path(__file__).resolve().parents[2], pulumi_bin=pulumi / "bin", state=state_dir())


def additions(given: Mapping[str, str], layout: Layout, *, logged_in: bool) -> dict[str, str]:
    """What to add to the environment `given`; pure.

    `logged_in` says whether the operator has chosen a backend by `pulumi login`.
    """
    chosen = {
        "PATH": os.pathsep.join(
            [str(layout.pulumi_bin), str(layout.venv_bin), given.get("PATH", os.defpath)]
        ),
        "VIRTUAL_ENV": str(layout.repo / ".venv"),
        "PULUMI_PYTHON_CMD": str(layout.venv_bin / "python"),
    }
    defaults = {
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Every plugin that a stack needs is here; else each command would look for some on the network.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    if not logged_in:
        defaults["PULUMI_BACKEND_URL"] = layout.backend.as_uri()
    if "PULUMI_CONFIG_PASSPHRASE" not in given:
        defaults["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(layout.passphrase_file)
    return chosen | {name: value for name, value in defaults.items() if name not in given}


def stack_environment(given: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """The whole environment for Pulumi; makes the backend's folder and the passphrase where they are ours to make."""
    environment = {**given, **additions(given, layout, logged_in=is_logged_in(given))}
    if environment.get("PULUMI_BACKEND_URL") == layout.backend.as_uri():
        layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        layout.backend.mkdir(exist_ok=True, mode=0o700)
    if environment.get("PULUMI_CONFIG_PASSPHRASE_FILE") == str(layout.passphrase_file):
        write_passphrase(layout.passphrase_file)
    return environment


def is_logged_in(given: Mapping[str, str]) -> bool:
    """Whether `pulumi login` has recorded a backend, which is then the operator's choice."""
    home = Path(given.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        credentials = json.loads((home / "credentials.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(credentials, dict) and bool(credentials.get("current"))


def write_passphrase(file: Path) -> None:
    """Writes a new passphrase, readable by this user alone, unless there is one; all of it or nothing."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    with open(
        os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
    ) as stream:
        stream.write(secrets.token_urlsafe(PASSPHRASE_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(partial, file)  # unlike a rename it never replaces one that another process has just made
    except FileExistsError:
        pass
    finally:
        partial.unlink()
