"""What a prefix that all sessions share would free: a bonus to tell the operator about, never a base to plan on.

vLLM keeps the blocks of a common beginning once per replica while any session uses them. Under pressure, or when a
first request with the prefix has not come yet, they are not there; a plan that counts on them is short then.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrefixBonus:
    """What one replica gains while all its sessions share the prefix: KV tokens, their share, and further sessions."""

    saved_tokens: int
    saved_share: float
    extra_sessions: int


def prefix_bonus(
    context_tokens: int, shared_tokens: int, sessions: int, block_tokens: int = 16
) -> PrefixBonus:
    """The bonus for `sessions` on one replica that begin with the same `shared_tokens`.

    Only whole blocks are shared, and never the last token of a context, which must be computed for the first answer.
    """
    shared = min(shared_tokens, context_tokens - 1) // block_tokens * block_tokens
    saved = max(0, sessions - 1) * shared
    room = sessions * context_tokens - shared
    return PrefixBonus(
        saved_tokens=saved,
        saved_share=saved / (sessions * context_tokens) if sessions else 0.0,
        extra_sessions=room // (context_tokens - shared) - sessions if sessions else 0,
    )
