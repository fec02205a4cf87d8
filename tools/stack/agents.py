"""`make env`: agents.env with its secrets, and the certificate of the CA beside it, in a folder of this computer."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from infra.plan.state import AGENT_SECRET, CA_SECRET
from infra.render.agents_env import CA_FILE, FOLDER
from infra.render.state import ca_name
from provisioning.converge.secrets import fill
from provisioning.state import SECRET
from tools.stack.errors import StackError
from tools.stack.generated import ca_certificate
from tools.stack.pulumi import Pulumi

ENV_FILE = "agents.env"


def write_agents_env(pulumi: Pulumi, folder: Path) -> Path:
    """Writes the files for the agents, readable by this user alone; the path of agents.env. Raises StackError."""
    text = str(pulumi.outputs().get("agents_env") or "") if pulumi.exists() else ""
    if not text:
        raise StackError(f"{pulumi.stack} is not up yet: `make up STACK={pulumi.stack}` first", 1)
    values = {name: pulumi.setting(name) for name in SECRET.findall(text)}
    if AGENT_SECRET in values:  # it stands in a URL
        values[AGENT_SECRET] = quote(values[AGENT_SECRET], safe="")
    folder = folder.expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if f"/{CA_FILE}" in text:
        fleet = str(pulumi.outputs()["fleet"])
        _write(folder / CA_FILE, ca_certificate(pulumi.setting(CA_SECRET), ca_name(fleet)))
    if f"{FOLDER}/crewai" in text:
        (folder / "crewai").mkdir(exist_ok=True, mode=0o700)
    _write(folder / ENV_FILE, fill(text.replace(FOLDER, str(folder)), values))
    return folder / ENV_FILE


def forget_agents_env(folder: Path) -> None:
    """Removes what `write_agents_env` wrote, and the folder where nothing of the agents is in it."""
    for path in (folder / ENV_FILE, folder / CA_FILE):
        path.unlink(missing_ok=True)
    for path in (folder / "crewai", folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _write(path: Path, text: str) -> None:
    """In one step, and never readable by others."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
