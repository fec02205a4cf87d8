"""Secrets of a stack that nobody has to choose: keys, passwords, and the key of the fleet's own CA."""

from __future__ import annotations

import datetime
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.errors import FleetError
from infra.plan import make_plan
from infra.plan.read_models import read_models
from infra.plan.state import CA_SECRET
from infra.render.state import CERTIFICATE_DAYS
from infra.spec import load

SECRET_BYTES = 32
API_KEY = "apiKey"


def generated_secrets(spec_file: Path) -> tuple[str, ...]:
    """Names of the settings that the spec's stack has generated; of a spec that cannot be planned the key alone.

    What is wrong with it, Pulumi's program says.
    """
    try:
        spec = load(spec_file)
        state = make_plan(spec, read_models(spec, spec_file.parent)).state
    except FleetError:
        state = None
    return (API_KEY, *(state.generated_secrets if state else ()))


def new_secret(name: str) -> str:
    """A fresh value for this setting: a private key for the CA, else 256 random bits that a URL and a file can hold."""
    if name != CA_SECRET:
        return secrets.token_urlsafe(SECRET_BYTES)
    key = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode().strip()


def ca_certificate(key_pem: str, name: str) -> str:
    """The CA's certificate as PEM, for those who check the store's.

    Machines make their own from the same key and name: they differ in dates and serial numbers, and any of them proves
    what the key has signed.
    """
    key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{CA_SECRET} must be an elliptic-curve key")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
