"""The one error of the set-up: a sentence, the evidence, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class SetupError(Exception):
    """Something that stops the set-up, told to the operator without a traceback.

    `sentence` names what failed, `evidence` is the last output of the command that failed, `advice` says what to do.
    """

    def __init__(self, sentence: str, *, evidence: Sequence[str] = (), advice: str = "") -> None:
        self.sentence = sentence
        self.evidence = tuple(evidence)
        self.advice = advice
        super().__init__(sentence)

    def __str__(self) -> str:
        """The sentence, the indented evidence and the advice, each on lines of its own."""
        lines = [self.sentence, *(f"    | {line}" for line in self.evidence)]
        return "\n".join([*lines, f"What to do: {self.advice}"] if self.advice else lines)
