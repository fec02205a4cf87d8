"""Secrets of a state store under test: those that a stack generates, with values that nobody else has."""

from __future__ import annotations

from infra.plan.authority import CA_SECRET
from tools.stack.generated import new_secret

STATE_SECRETS = {
    **{
        f"state{user}Password": f"{user.lower()}-{'p' * 32}"
        for user in ("Agent", "Exporter", "Backup", "Admin", "Replica", "Sentinel")
    },
    CA_SECRET: new_secret(CA_SECRET),
}
