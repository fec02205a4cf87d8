"""Secrets of a state store under test: those that a stack generates, with values that nobody else has."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _ca_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode().strip()


STATE_SECRETS = {
    **{
        f"state{user}Password": f"{user.lower()}-{'p' * 32}"
        for user in ("Agent", "Exporter", "Backup", "Admin", "Replica", "Sentinel")
    },
    "stateCaKey": _ca_key(),
}
