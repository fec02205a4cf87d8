"""LiteLLM before the gateway: what clients meet, and how its models stand for the gateway's pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.catalog.programs import LITELLM, LITELLM_VERSION, program_digest, program_lock
from infra.plan.process import unit_name, user_name
from infra.spec.gateway import INNER_PORT_STEP
from infra.spec.kinds import Role

if TYPE_CHECKING:
    from infra.plan.gateway import GatewayPool

SERVICE = "litellm"
PROGRAMS_FOLDER = "/opt/agentfleet/programs"
INNER_SESSION_HEADER = "X-Agentfleet-Session"
"""How LiteLLM tells the gateway a session: it hands on what begins with x-, whatever the clients' header is called."""


@dataclass(frozen=True)
class ProgramPlan:
    """A program's own folder on a node. `lock` names a file of the catalog, empty where the folder is given."""

    name: str
    version: str
    folder: str
    lock: str


@dataclass(frozen=True)
class LiteLlmModel:
    """A model as clients name it, and the pool that answers it."""

    name: str
    served_name: str
    pool: str


@dataclass(frozen=True)
class LiteLlmPlan:
    """The program that clients meet, where the gateway itself listens on `inner_port` of loopback alone.

    A request that its model's pool refuses as too long goes to the first of `long_models` that takes it, unless its
    model is none of `fallbacks`.
    """

    unit: str
    user: str
    folder: str
    inner_port: int
    program: ProgramPlan
    models: tuple[LiteLlmModel, ...]
    fallbacks: tuple[str, ...]
    long_models: tuple[str, ...]


def plan_litellm(
    fleet: str, port: int, pools: Sequence[GatewayPool], front_pool: str, *, lab: bool
) -> LiteLlmPlan:
    """LiteLLM at `port` of the gateway's node."""
    unit = unit_name(fleet, SERVICE)
    models = tuple(_models(sorted(pools, key=lambda pool: pool.name != front_pool)))
    long_pools = {pool.name for pool in pools if pool.role == Role.LONG}
    long_models = tuple(model.name for model in models if model.pool in long_pools)
    return LiteLlmPlan(
        unit=unit,
        user=user_name(unit),
        folder=f"/etc/agentfleet/{fleet}/{SERVICE}",
        inner_port=port + INNER_PORT_STEP,
        program=lab_program() if lab else _installed_program(),
        models=models,
        fallbacks=tuple(model.name for model in models if long_models and model.pool not in long_pools),
        long_models=long_models,
    )


def lab_program() -> ProgramPlan:
    """LiteLLM as the set-up gives it to lab nodes."""
    return ProgramPlan(LITELLM, LITELLM_VERSION, f"{PROGRAMS_FOLDER}/{LITELLM}-{LITELLM_VERSION}", "")


def _installed_program() -> ProgramPlan:
    """Another set of packages goes into another folder: the old one serves until the new one is whole."""
    folder = f"{PROGRAMS_FOLDER}/{LITELLM}-{LITELLM_VERSION}-{program_digest(LITELLM, LITELLM_VERSION)}"
    return ProgramPlan(LITELLM, LITELLM_VERSION, folder, program_lock(LITELLM, LITELLM_VERSION).name)


def _models(pools: Sequence[GatewayPool]) -> Iterator[LiteLlmModel]:
    """The first pool of a served name has that name, as at the gateway; others of it are called after their path."""
    taken = set()
    for pool in pools:
        name = f"pools/{pool.name}" if pool.served_name in taken else pool.served_name
        taken.add(pool.served_name)
        yield LiteLlmModel(name, pool.served_name, pool.name)
