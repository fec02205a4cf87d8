"""The certificate that clients see: files of the operator's, or one that the node makes itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from infra.plan.gateway import GatewayPlan
from infra.render.templates import template_text
from infra.spec.addresses import is_ipv4
from infra.spec.kinds import TlsKind
from provisioning.state import Artifact

_CERTIFICATES_FOLDER = "/opt/agentfleet/certificates"


@dataclass(frozen=True)
class TlsFiles:
    """Where certificate and key stand on the node; `artifacts` bring them, where we make them ourselves."""

    certificate: str
    key: str
    artifacts: dict[str, Artifact]

    @property
    def packages(self) -> tuple[str, ...]:
        """What makes them."""
        return ("openssl",) if self.artifacts else ()


def tls_files(gateway: GatewayPlan) -> TlsFiles | None:
    """A generated certificate is good for the addresses that it was made for; other addresses make another folder."""
    if gateway.tls.kind is TlsKind.NONE:
        return None
    if gateway.tls.kind is TlsKind.FILES:
        return TlsFiles(str(gateway.tls.certificate), str(gateway.tls.key), {})
    names = tuple(dict.fromkeys((gateway.address, gateway.listen_address)))
    key = f"certificate for {', '.join(names)}"
    folder = f"{_CERTIFICATES_FOLDER}/{gateway.unit}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    script = template_text(
        "nginx/certificate.sh.j2", names=names, subject_names=",".join(map(subject_name, names))
    )
    artifact = Artifact(key=key, title=key, script=script, timeout_s=60)
    return TlsFiles(f"{folder}/certificate.pem", f"{folder}/key.pem", {folder: artifact})


def subject_name(name: str) -> str:
    """A name of a certificate's subject, in the words of openssl's subjectAltName."""
    return f"{'IP' if is_ipv4(name) else 'DNS'}:{name}"
