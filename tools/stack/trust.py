"""Who proves that a fleet is the fleet: its own CA, alone or beside the CAs that the operating system trusts."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.plan.authority import CA_SECRET, CERTIFICATE_DAYS, ca_name
from tools.stack.errors import StackError
from tools.stack.pulumi import Pulumi

SYSTEM_LISTS = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Arch
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora, RHEL
    Path("/etc/ssl/ca-bundle.pem"),  # openSUSE
    Path("/etc/ssl/cert.pem"),  # Alpine, macOS
)


def fleet_ca(pulumi: Pulumi) -> str:
    """The certificate of the stack's own CA. Raises StackError where the stack has no key for one yet."""
    key = pulumi.setting(CA_SECRET)
    if not key:
        raise StackError(
            f"{pulumi.stack} has no {CA_SECRET}, the key of its own CA: `make up STACK={pulumi.stack}` makes it",
            1,
        )
    return ca_certificate(key, ca_name(str(pulumi.outputs()["fleet"])))


def shows_own_certificate(outputs: Mapping[str, Any]) -> bool:
    """Whether the gateway of the stack with these outputs shows a certificate of the stack's own CA."""
    gateway = (outputs.get("inventory") or {}).get("gateway") or {}
    return bool(gateway.get("ca"))


def fleet_context(pulumi: Pulumi, outputs: Mapping[str, Any]) -> ssl.SSLContext | None:
    """What checks the stack's certificate where it is of the stack's own CA: that one alone. Else None."""
    if not shows_own_certificate(outputs):
        return None
    return ssl.create_default_context(cadata=fleet_ca(pulumi))


def bundle(ca: str, lists: tuple[Path, ...] = SYSTEM_LISTS) -> str:
    """The operating system's CAs and this one, for clients that take one list and no other.

    The system's and no package's, because a company installs its own CAs there. Not what SSL_CERT_FILE names, which may
    be a bundle of ours. Raises StackError where the system has none.
    """
    for file in lists:
        if file.is_file():
            return f"{file.read_text().rstrip()}\n{ca}"
    places = ", ".join(map(str, lists))
    raise StackError(f"this computer has no list of public CAs ({places}): install ca-certificates", 1)


def ca_certificate(key_pem: str, name: str) -> str:
    """The CA's certificate as PEM, for those who check what it has signed.

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
