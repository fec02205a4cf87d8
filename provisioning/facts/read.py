"""Asking a machine for its facts."""

from __future__ import annotations

from provisioning.errors import HostError
from provisioning.facts.parse import parse_facts
from provisioning.facts.questions import CLOUD_INIT_WAIT_S, SCRIPT
from provisioning.facts.values import HostFacts
from provisioning.ssh import Connection


def read_facts(connection: Connection) -> HostFacts:
    """One script, one round trip; waits up to 10 min for cloud-init, else well under a second without GPUs."""
    answer = connection.script(SCRIPT, timeout_s=CLOUD_INIT_WAIT_S + 240).stdout
    try:
        return parse_facts(answer)
    except ValueError as error:
        host = connection.address.label
        raise HostError(
            host, f"its description of itself is not understood: {error}; is it a Linux server?"
        ) from None
