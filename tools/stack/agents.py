"""`make env`: agents.env with its secrets, and beside it what checks certificates, in a folder of this computer."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from infra.plan.state import AGENT_SECRET
from infra.render.agents_env import BUNDLE_FILE, CA_FILE, FOLDER
from provisioning.converge.secrets import fill
from provisioning.state import SECRET
from tools.stack.errors import StackError
from tools.stack.pulumi import Pulumi
from tools.stack.trust import bundle, fleet_ca

ENV_FILE = "agents.env"
_KEPT = "crewai"
_BESIDE = re.compile(re.escape(FOLDER) + r"/([\w.-]+)")


def write_agents_env(pulumi: Pulumi, folder: Path) -> Path:
    """Writes the files for the agents, readable by this user alone; the path of agents.env. Raises StackError."""
    text = str(pulumi.outputs().get("agents_env") or "") if pulumi.exists() else ""
    if not text:
        raise StackError(f"{pulumi.stack} is not up yet: `make up STACK={pulumi.stack}` first", 1)
    values = {name: pulumi.setting(name) for name in SECRET.findall(text)}
    if AGENT_SECRET in values:  # it stands in a URL
        values[AGENT_SECRET] = quote(values[AGENT_SECRET], safe="")
    beside = _beside(pulumi, text)
    folder = folder.expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in beside.items():
        _write(folder / name, content)
    if f"{FOLDER}/{_KEPT}" in text:
        (folder / _KEPT).mkdir(exist_ok=True, mode=0o700)
    _write(folder / ENV_FILE, fill(text.replace(FOLDER, str(folder)), values))
    return folder / ENV_FILE


def forget_agents_env(folder: Path) -> None:
    """Removes what `write_agents_env` wrote, and the folder where nothing of the agents is in it."""
    for name in (ENV_FILE, CA_FILE, BUNDLE_FILE):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / _KEPT, folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _beside(pulumi: Pulumi, text: str) -> dict[str, str]:
    """The files that agents.env names in its own folder, by name."""
    named = {*_BESIDE.findall(text)} - {_KEPT}
    if unknown := sorted(named - {CA_FILE, BUNDLE_FILE}):
        raise StackError(
            f"{pulumi.stack} was brought up by another version of agentfleet, whose agents.env names {unknown[0]}: "
            f"`make up STACK={pulumi.stack}` first",
            1,
        )
    if not named:
        return {}
    ca = fleet_ca(pulumi)
    return {CA_FILE: ca, **({BUNDLE_FILE: bundle(ca)} if BUNDLE_FILE in named else {})}


def _write(path: Path, text: str) -> None:
    """In one step, and never readable by others."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
