"""The fleet's own CA: the secret that is its key, its name, and where a node keeps a certificate that it signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from infra.spec.addresses import is_ipv4

CA_SECRET = "caKey"  # noqa: S105 - the name of a secret
CERTIFICATE_DAYS = 3650
"""Of the CA's certificate and of those that it signs."""

_FOLDER = "/opt/agentfleet/certificates"
_NODE_ITSELF = ("127.0.0.1", "localhost")


def ca_name(fleet: str) -> str:
    """The CA's common name: who holds its key can make its certificate, on a machine or elsewhere."""
    return f"agentfleet {fleet} CA"


def subject_names(addresses: Iterable[str]) -> tuple[str, ...]:
    """What a certificate is good for, in the words of openssl's subjectAltName: these addresses, and the node's own."""
    names = dict.fromkeys((*addresses, *_NODE_ITSELF))
    return tuple(f"{'IP' if is_ipv4(name) else 'DNS'}:{name}" for name in names)


def certificate_folder(unit: str, addresses: Iterable[str]) -> str:
    """Where the unit's certificate for these addresses stands: with others it has another folder."""
    digest = hashlib.sha256(" ".join(subject_names(addresses)).encode()).hexdigest()[:12]
    return f"{_FOLDER}/{unit}-{digest}"
