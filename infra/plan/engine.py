"""Engine versions: the engine's folder on a node, the locked set it is installed from, and the driver it asks for."""

from __future__ import annotations

import re

from infra.catalog.engines import FOR_CPUS, FOR_GPUS, lab_version, lock_digest, lock_path, locked_versions
from infra.errors import SizingError
from infra.plan.fleet_plan import EnginePlan

ENGINES_FOLDER = "/opt/agentfleet/engines"
MODELS_FOLDER = "/opt/agentfleet/models"
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


def lab_engine(version: str) -> EnginePlan:
    """The engine that a lab node is given by the set-up, which has one version; SizingError for another."""
    if version != lab_version():
        raise SizingError(
            "engine.version",
            f"lab nodes run vLLM {lab_version()}, which the set-up installs, not {version}: write {lab_version()}",
        )
    return EnginePlan(FOR_CPUS, version, f"{ENGINES_FOLDER}/{FOR_CPUS}-{version}", "")


def installed_engine(version: str, *, on_cpu: bool) -> EnginePlan:
    """The engine that a node installs from a locked set of packages; SizingError where there is none.

    Another set goes into another folder: the old one serves until the new one is whole.
    """
    distribution = FOR_CPUS if on_cpu else FOR_GPUS
    if version not in locked_versions(distribution):
        known = ", ".join(locked_versions(distribution))
        raise SizingError(
            "engine.version",
            f"there is no locked set of packages for {distribution} {version}, only for {known}",
        )
    folder = f"{ENGINES_FOLDER}/{distribution}-{version}-{lock_digest(distribution, version)}"
    return EnginePlan(distribution, version, folder, lock_path(distribution, version).name)
