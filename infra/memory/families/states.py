"""Recurrent states: what a mamba or linear-attention layer keeps of a sequence instead of its tokens."""

from __future__ import annotations

from infra.memory.config import Config

CHUNK_TOKENS = (
    64  # a prefill of linear attention keeps one state per chunk of so many tokens (fla's chunked kernels)
)
_STATE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def state_element_bytes(config: Config, key: str) -> int | None:
    """Bytes of one number of a state, by the config's own key for it; None where the model's type holds."""
    if not config.has(key):
        return None
    name = config.word(key)
    if name not in _STATE_BYTES:
        raise config.error(key, f"{name!r} is no data type of a recurrent state ({', '.join(_STATE_BYTES)})")
    return _STATE_BYTES[name]
