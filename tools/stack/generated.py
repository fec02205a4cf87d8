"""Secrets of a stack that nobody has to choose: keys, passwords, and the key of the fleet's own CA."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.errors import FleetError
from infra.plan import make_plan
from infra.plan.authority import CA_SECRET
from infra.plan.read_models import read_models
from infra.spec import load

SECRET_BYTES = 32
API_KEY = "apiKey"


def generated_secrets(spec_file: Path) -> tuple[str, ...]:
    """Names of the settings that the spec's stack has generated; of a spec that cannot be planned the key alone.

    What is wrong with it, Pulumi's program says.
    """
    try:
        spec = load(spec_file)
        return (API_KEY, *make_plan(spec, read_models(spec, spec_file.parent)).generated_secrets)
    except FleetError:
        return (API_KEY,)


def new_secret(name: str) -> str:
    """A fresh value for this setting: a private key for the CA, else 256 random bits that a URL and a file can hold."""
    if name != CA_SECRET:
        return secrets.token_urlsafe(SECRET_BYTES)
    key = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode().strip()
