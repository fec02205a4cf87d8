"""What a machine holds after an error: the sentence by which Pulumi's state, and the operator, learn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from provisioning.converge.version import Version
from provisioning.errors import HostError, Interrupted, ProvisioningError, RolledBack, Unfinished


@dataclass(frozen=True)
class Outcome:
    """How going back went: a clause for the error, and whether what served before serves."""

    clause: str
    serves: bool = True


@contextmanager
def accounting(previous: Version | None, go_back: Callable[[Version], Outcome]) -> Iterator[None]:
    """Turns an error into one that tells what the machine holds now; `go_back` says how the way back went."""
    try:
        yield
    except (HostError, Interrupted) as error:
        raise Unfinished(error) from error
    except ProvisioningError as error:
        if previous is None:
            raise Unfinished(error) from error
        outcome = go_back(previous)
        raise RolledBack(error, outcome.clause, serves=outcome.serves) from error


@contextmanager
def recording(previous: Version | None) -> Iterator[None]:
    """Turns an error before the first act into one that keeps a first version, of which the machine has a record."""
    try:
        yield
    except (RolledBack, Unfinished):
        raise
    except ProvisioningError as error:
        if previous is None:
            raise Unfinished(error) from error
        raise
