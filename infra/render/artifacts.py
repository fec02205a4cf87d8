"""What is brought to a node before a service can start: its packages, and for an engine the weights of its model."""

from __future__ import annotations

import functools

from infra.catalog.engines import FOR_GPUS, INSTALLED_BYTES, lock_digest
from infra.catalog.programs import LITELLM_INSTALLED_BYTES, program_digest
from infra.plan.fleet_plan import EnginePlan, ReplicaPlan
from infra.plan.litellm import ProgramPlan
from infra.plan.text import size_text
from infra.render.templates import template_text
from provisioning.state import Artifact

_SPARE_BYTES = 512 << 20
"""What an installation needs beside the packages: uv, and packages while they are unpacked."""

_WEIGHTS_TIMEOUT_S = 6 * 3600


def replica_artifacts(replica: ReplicaPlan) -> dict[str, Artifact]:
    """Folder to what fills it, the engine before the weights, whose downloader is the engine's."""
    artifacts = {}
    if replica.engine.lock:
        artifacts[replica.engine.folder] = _engine(replica.engine)
    if replica.weights.source == "hub":
        artifacts[replica.weights.folder] = _weights(replica)
    return artifacts


@functools.cache
def _engine(engine: EnginePlan) -> Artifact:
    size_bytes = INSTALLED_BYTES[engine.distribution]
    return Artifact(
        key=f"{engine.distribution} {engine.version} {lock_digest(engine.distribution, engine.version)}",
        title=f"engine {engine.distribution} {engine.version}",
        script=template_text(
            "vllm/install-engine.sh.j2",
            **_installing(f"{engine.distribution} {engine.version}", "the engine", "vllm", size_bytes),
            engine=engine,
            for_gpus=engine.distribution == FOR_GPUS,
        ),
        uploads=_locks(f"infra/catalog/engines/{engine.lock}"),
    )


def program_artifacts(program: ProgramPlan) -> dict[str, Artifact]:
    """LiteLLM's environment, where it is not given."""
    if not program.lock:
        return {}
    title = f"{program.name} {program.version}"
    values = _installing(title, "LiteLLM", program.name, LITELLM_INSTALLED_BYTES)
    artifact = Artifact(
        key=f"{title} {program_digest(program.name, program.version)}",
        title=title,
        script=template_text("python/install.sh.j2", **values),
        uploads=_locks(f"infra/catalog/programs/{program.lock}"),
    )
    return {program.folder: artifact}


def _installing(program: str, noun: str, executable: str, size_bytes: int) -> dict[str, str | int]:
    """What the script that brings a locked set of packages says and asks for."""
    return {
        "program": program,
        "noun": noun,
        "executable": executable,
        "size": size_text(size_bytes),
        "needed_mib": (size_bytes + _SPARE_BYTES) >> 20,
    }


def _locks(packages: str) -> dict[str, str]:
    """Files that are sent with it: its packages, and uv that installs them."""
    return {"requirements.lock": packages, "uv.lock": "tools/setup/bootstrap.lock"}


def _weights(replica: ReplicaPlan) -> Artifact:
    """The weights of a repository's revision; the token is none of their key, since it changes nothing of them."""
    weights = replica.weights
    return Artifact(
        key=f"{weights.repository}@{weights.revision}",
        title=f"weights of {weights.repository}",
        script=template_text(
            "vllm/fetch-weights.sh.j2",
            weights=weights,
            setting=f"models.{replica.model}.weights",
            engine_folder=replica.engine.folder,
        ),
        uploads={"fetch_weights.py": "provisioning/on_node/fetch_weights.py"},
        timeout_s=_WEIGHTS_TIMEOUT_S,
    )
