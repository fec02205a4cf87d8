"""The memory model: what vLLM reserves on each GPU and how many tokens of KV cache that leaves."""

from infra.memory.budget import Interval, MemoryBudget, size_replica
from infra.memory.settings import LATEST_VLLM, EngineSettings

__all__ = ["LATEST_VLLM", "EngineSettings", "Interval", "MemoryBudget", "size_replica"]
