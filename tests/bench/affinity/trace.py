"""Conversations to replay: who speaks when, and every word of it; the same every time, so that candidates compare.

A turn's prompt is the whole conversation so far, with the answers as they were recorded: so the prompt of a turn begins
with the prompt of the turn before, and what a prefix cache could know at best can be computed from the trace alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from infra.affinity import Ring

WORDS = tuple(f"{first}{second}" for first in "bdfgklmnprst" for second in ("a", "en", "ir", "o", "um", "as"))


@dataclass(frozen=True)
class Turn:
    """What is said `think_s` after the last answer, in words, and the words of the answer that was recorded."""

    think_s: float
    question_words: int
    answer_words: int


@dataclass(frozen=True)
class Session:
    """One conversation, which begins at `start_s` of the trace."""

    key: str
    start_s: float
    turns: tuple[Turn, ...]

    def messages(self, turn: int) -> list[dict[str, str]]:
        """The prompt of that turn. No two sessions share its beginning."""
        text = _Text(self.key)
        messages = [{"role": "user", "content": f"{self.key} {text.words(self.turns[0].question_words)}"}]
        for before, now in pairwise(self.turns[: turn + 1]):
            messages += [
                {"role": "assistant", "content": text.words(before.answer_words)},
                {"role": "user", "content": text.words(now.question_words)},
            ]
        return messages


class _Text:
    """Words without end, the same for the same session."""

    def __init__(self, key: str) -> None:
        self._random = random.Random(key)  # noqa: S311 - repeatable, nothing secret

    def words(self, count: int) -> str:
        return " ".join(self._random.choices(WORDS, k=count))


@dataclass(frozen=True)
class Shape:
    """What the sessions of one kind are like; gaps between turns are exponential with that mean."""

    turns: int
    first_words: int
    question_words: int
    answer_words: int
    think_s: float


def make_session(key: str, start_s: float, shape: Shape) -> Session:
    """A session of that shape, its gaps drawn by its key."""
    gaps = random.Random(f"gaps of {key}")  # noqa: S311 - repeatable, nothing secret
    turns = tuple(
        Turn(
            0.0 if number == 0 else gaps.expovariate(1 / shape.think_s),
            shape.first_words if number == 0 else shape.question_words,
            shape.answer_words,
        )
        for number in range(shape.turns)
    )
    return Session(key, start_s, turns)


def unlucky_keys(rings: Sequence[Ring], counts: Sequence[int], seed: str) -> list[str]:
    """Session keys of which every ring gives its n-th server `counts[n]`, in an order without pattern."""
    left = list(counts)
    keys: list[str] = []
    number = 0
    while any(left):
        key = f"{seed}-{number:06x}"
        number += 1
        places = {ring.servers.index(ring.server_of(key)) for ring in rings}
        if len(places) == 1 and left[place := places.pop()]:
            left[place] -= 1
            keys.append(key)
    random.Random(seed).shuffle(keys)  # noqa: S311 - repeatable, nothing secret
    return keys


def best_hit_share(
    sessions: Sequence[Session], tokens_of: Callable[[Session, int], int], block_tokens: int
) -> float:
    """The prefix cache's hit share if every turn finds all whole blocks of the turn before it, and nothing is evicted.

    An engine computes at least one token of a prompt, so a block that ends with the prompt is no hit.
    """
    asked = hit = 0
    for session in sessions:
        known = 0
        for turn in range(len(session.turns)):
            tokens = tokens_of(session, turn)
            asked += tokens
            hit += min(known, tokens - 1) // block_tokens * block_tokens
            known = tokens
    return hit / asked
