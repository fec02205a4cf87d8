"""Whether this computer can run tests that need more than Python.

What is missing skips a test with the reason. With CI=true it fails the test, so that a pipeline that has lost its lab
does not look healthy.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from provisioning import lab
from provisioning.errors import LabError
from provisioning.lab.local import require_programs, run_as_root
from provisioning.places import cache_dir


def is_missing(reason: str) -> NoReturn:
    """Ends the test for want of something: skipped here, failed where nothing may be wanting."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require_lab() -> None:
    """Lab nodes can run: programs, image, and the right to make namespaces."""
    try:
        require_programs()
        lab.image_dir()
        run_as_root(["unshare", "--mount", "--net", "--pid", "--fork", "true"])
    except LabError as error:
        is_missing(str(error))


def require_pulumi() -> None:
    """There is a Pulumi: the set-up's, or one of this computer's own."""
    if not shutil.which("pulumi", path=f"{pulumi_bin()}:{os.environ['PATH']}"):
        is_missing(f"there is no pulumi in {pulumi_bin()} and none on the PATH: run `make setup`")


def require_engine() -> Path:
    """The Python of the set-up's vLLM."""
    python = cache_dir() / "ready" / "engine" / "bin" / "python"
    if not python.exists():
        is_missing(f"there is no engine at {python}: run `make setup`")
    return python


def require_examples() -> Path:
    """The Python that has LangGraph and CrewAI."""
    python = cache_dir() / "ready" / "examples" / "bin" / "python"
    if not python.exists():
        is_missing(f"there is no {python}: run `make setup PART=test`")
    return python


def require_litellm() -> None:
    """There is an environment of LiteLLM for lab nodes."""
    if not (cache_dir() / "ready" / "litellm" / "bin" / "python").exists():
        is_missing("there is no LiteLLM for lab nodes: run `make setup PART=test`")


def pulumi_bin() -> Path:
    """Where the set-up puts its Pulumi."""
    return cache_dir() / "ready" / "pulumi" / "bin"
