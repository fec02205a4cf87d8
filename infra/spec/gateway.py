"""The program before the replicas: one address for all of them, and a session stays with its replica."""

from __future__ import annotations

from pydantic import Field

from infra.spec.kinds import GatewayKind, TlsKind
from infra.spec.part import Part
from infra.spec.quantities import Number, Port, RequestBytes, Whole
from infra.spec.text import ConfigKey, CookieName, HeaderName, NodeFolder, NodeName

INNER_PORT_STEP = 10_000
"""Behind LiteLLM the gateway listens on loopback, so far above the port where LiteLLM meets clients."""


class Tls(Part):
    """How the gateway speaks TLS to clients."""

    kind: TlsKind = Field(
        default=TlsKind.NONE,
        description="The certificate's source: none, generated on the node, or files that stand there.",
    )
    certificate: NodeFolder | None = Field(
        default=None, description="The certificate chain's path on the node, for kind files."
    )
    key: NodeFolder | None = Field(
        default=None, description="The private key's path on the node, for kind files."
    )


class Gateway(Part):
    """What stands before the replicas."""

    kind: GatewayKind = Field(default=GatewayKind.NONE, description="The program before the replicas.")
    node: NodeName | None = Field(
        default=None,
        description="The node that carries the gateway; the first one without a replica when omitted.",
    )
    port: Port = Field(default=8080, description="The port where clients reach the fleet.")
    session_header: HeaderName = Field(
        default="X-Session-Id", description="The request header that names a session."
    )
    session_cookie: CookieName = Field(
        default="agentfleet_session",
        description="The cookie that names a session where the header is missing.",
    )
    session_idle_s: Whole = Field(
        default=600,
        ge=10,
        le=86_400,
        description="The seconds of silence after which the gateway forgets where it put a session.",
    )
    load_factor: Number | None = Field(
        default=1.25,
        ge=1,
        le=10,
        description="The most sessions of a replica, as a multiple of the mean; null for hashing without a bound.",
    )
    tls: Tls = Field(default=Tls(), description="How the gateway speaks TLS.")
    client_key_configs: tuple[ConfigKey, ...] = Field(
        default=(),
        description="The names of Pulumi config secrets with further API keys, one for each client.",
    )
    request_limit_bytes: RequestBytes = Field(
        default=32 * 2**20,
        alias="request_limit",
        description="The largest request that is let through, such as 32MiB.",
    )
    drain_timeout_s: Whole = Field(
        default=300,
        ge=0,
        le=3600,
        description="The seconds that requests in flight get to finish before their replica is changed.",
    )
