"""Certificates of the fleet's own CA, made on the node that shows them, and the gateway's of whatever kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infra.plan.authority import CA_SECRET, CERTIFICATE_DAYS, ca_name, certificate_folder, subject_names
from infra.plan.gateway import GatewayPlan
from infra.render.templates import template_text
from infra.spec.kinds import TlsKind
from provisioning.state import Artifact, OnChange

PACKAGES = ("openssl",)
"""What makes them."""


@dataclass(frozen=True)
class TlsFiles:
    """Where certificate and key stand on the node; `artifacts` bring them, where we make them ourselves.

    `ca` is the certificate of the CA that they can be checked with on the node, empty for files of the operator's.
    """

    certificate: str
    key: str
    ca: str
    artifacts: dict[str, Artifact]

    @property
    def packages(self) -> tuple[str, ...]:
        """What makes them."""
        return PACKAGES if self.artifacts else ()


def tls_files(fleet: str, gateway: GatewayPlan, on_change: OnChange = OnChange.RESTART) -> TlsFiles | None:
    """The gateway's certificate, None without TLS. `on_change` is what a new one asks of the unit that shows it."""
    if gateway.tls.kind is TlsKind.NONE:
        return None
    if gateway.tls.kind is TlsKind.FILES:
        return TlsFiles(str(gateway.tls.certificate), str(gateway.tls.key), "", {})
    addresses = (gateway.address, gateway.listen_address)
    artifacts = fleet_certificate(fleet, gateway.unit, addresses, on_change=on_change)
    folder = gateway.certificate_folder
    return TlsFiles(f"{folder}/server.crt", f"{folder}/server.key", gateway.ca, artifacts)


def fleet_certificate(
    fleet: str,
    unit: str,
    addresses: Iterable[str],
    *,
    group: str = "root",
    on_change: OnChange = OnChange.RESTART,
) -> dict[str, Artifact]:
    """The folder with ca.crt, server.crt and server.key, which this group may read, and what makes it on the node.

    Made anew when the CA's key changes; other addresses make another folder.
    """
    addresses = tuple(addresses)
    names = subject_names(addresses)
    script = template_text(
        "openssl/certificate.sh.j2",
        ca_secret=CA_SECRET,
        ca_name=ca_name(fleet),
        unit=unit,
        names=names,
        days=CERTIFICATE_DAYS,
        group=group,
    )
    artifact = Artifact(
        key=" ".join(names),
        title=f"certificate of {unit}",
        script=script,
        timeout_s=120,
        made_from=(CA_SECRET,),
        on_change=on_change,
    )
    return {certificate_folder(unit, addresses): artifact}
