"""vLLM's settings that all pools share, and what the deploy gate allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from infra.spec.flags import FlagName, FlagValue, flag_name
from infra.spec.kinds import Hardening, KvCacheDtype
from infra.spec.part import Part
from infra.spec.quantities import Number, Switch, Whole
from infra.spec.text import Version


class Engine(Part):
    """vLLM's version and the settings that all pools share."""

    version: Version = Field(default="0.32.0", description="The version of vLLM.")
    gpu_memory_utilization: Number = Field(
        default=0.90, ge=0.1, le=0.98, description="The share of each GPU's memory that vLLM may claim."
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default=KvCacheDtype.AUTO, description="The number format of the KV cache; auto is the model's own."
    )
    enable_prefix_caching: Switch = Field(
        default=True, description="Whether sessions that begin alike share their KV cache."
    )
    shutdown_timeout_s: Whole = Field(
        default=60, ge=0, le=3600, description="The seconds that requests in flight get to finish at a stop."
    )
    ready_timeout_s: Whole = Field(
        default=900,
        ge=10,
        le=86_400,
        description="The seconds from a replica's start to its first good answer.",
    )
    extra_flags: Mapping[FlagName, FlagValue] = Field(
        default_factory=dict,
        description="Further flags of `vllm serve`; those that the plan owns are refused.",
    )
    hardening: Hardening = Field(
        default=Hardening.STRICT,
        description="strict, or relaxed for RDMA and NVLink fabrics that strict locks out.",
    )

    @field_validator("extra_flags", mode="before")
    @classmethod
    def _one_spelling_each(cls, value: Any) -> Any:
        if isinstance(value, dict):
            spellings: dict[str, str] = {}
            for spelling in value:
                known = spellings.setdefault(flag_name(spelling), spelling)
                if known != spelling:
                    raise ValueError(f"holds one flag twice, as {known} and as {spelling}: keep one")
        return value


class GateSpec(Part):
    """What the deploy gate allows."""

    tolerance: Number = Field(
        default=0.10,
        ge=0,
        le=1,
        description="The share of the planned KV tokens that a GPU replica may miss; on lab nodes always 0.",
    )
