"""What can be wrong with the store. None of these is an error of the client library, which savers swallow."""

from __future__ import annotations


class StateUnavailable(RuntimeError):
    """The store did not answer, or refused, after all retries: whether the session has a state is not known."""


class StateDamaged(RuntimeError):
    """The store knows the session, and its newest checkpoint is not there: going on would begin it anew."""
