"""Parts of the set-up that one stack's lab nodes need and others do not, so that nobody else waits for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.errors import FleetError
from infra.plan import make_plan
from infra.plan.litellm import lab_program
from infra.plan.read_models import read_models
from infra.spec import load
from tools.stack.errors import StackError


def needed_parts(spec_file: Path) -> tuple[str, ...]:
    """Names of tools.setup's parts; none for a spec that cannot be planned, which Pulumi's program explains."""
    try:
        spec = load(spec_file)
        nodes = make_plan(spec, read_models(spec, spec_file.parent)).nodes
    except FleetError:
        return ()
    given = {folder for node in nodes if node.lab for folder in node.lab.binds}
    return ("litellm",) if lab_program().folder in given else ()


def set_up(repo: Path, part: str) -> None:
    """Makes the part ready, which says so at once where it is. Raises StackError with the set-up's exit code."""
    words = [sys.executable, "-m", "tools.setup", part]
    code = subprocess.run(words, cwd=repo, check=False).returncode
    if code != 0:
        raise StackError(f"the set-up's part {part} ended with exit code {code}", code)
