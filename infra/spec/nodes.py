"""The machines: throw-away lab nodes on this computer, or the operator's own by SSH."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from infra.spec.addresses import Address, HostKey, Network, OwnAddress
from infra.spec.kinds import NodeSource
from infra.spec.part import Part
from infra.spec.quantities import KvCacheBytes, Number, SshPort, Whole
from infra.spec.text import ConfigKey, Line, NodeName, User


class Lab(Part):
    """Throw-away machines on this computer."""

    count: Whole = Field(
        default=1, ge=1, le=32, description="The number of lab nodes, named node-1, node-2, ..."
    )
    network: Network | None = Field(
        default=None, description="The lab's /24 network; derived from the fleet's name when omitted."
    )
    kv_cache_memory_bytes: KvCacheBytes = Field(
        default=64 * 2**20,
        alias="kv_cache_memory",
        description="The size of each lab replica's KV cache, such as 64MiB.",
    )


class HostSpec(Part):
    """One machine of the operator's own, reached by SSH."""

    name: NodeName = Field(description="The node's name in plans and pools.")
    address: Address = Field(description="The IPv4 address or DNS name, for SSH and for clients.")
    device: Line = Field(
        description="The GPU's name in the catalog, such as H100-SXM, or cpu for a server without one."
    )
    devices: Whole = Field(
        ge=1, le=16, description="The number of GPUs in the machine; 1 for a server without one."
    )
    listen_address: OwnAddress | None = Field(
        default=None,
        description="The machine's own IPv4 address behind NAT, where engines listen; address when omitted.",
    )
    kv_cache_memory_bytes: KvCacheBytes | None = Field(
        default=None,
        alias="kv_cache_memory",
        description="The size of each replica's KV cache on a server without a GPU, such as 4GiB.",
    )
    port: SshPort = Field(default=22, description="The port of sshd.")
    user: User = Field(default="root", description="The login: root, or a user with password-less sudo.")
    host_key: HostKey | None = Field(
        default=None,
        description="The machine's public host key, pinned; recorded at first contact when omitted.",
    )
    identity_file: Line | None = Field(default=None, description="The private key's path on this computer.")
    password_config: ConfigKey | None = Field(
        default=None, description="The name of a Pulumi config secret that holds the login's password."
    )
    price_per_hour: Number | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="US dollars per GPU and hour; the catalog's price when omitted.",
    )


class Nodes(Part):
    """The machines, and where they come from."""

    source: NodeSource = Field(description="The source of the machines: lab or ssh.")
    lab: Lab | None = Field(default=None, description="Lab nodes on this computer, for source lab.")
    hosts: tuple[HostSpec, ...] = Field(default=(), description="The machines, for source ssh.")

    @model_validator(mode="before")
    @classmethod
    def _lab_by_default(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("source") == NodeSource.LAB and value.get("lab") is None:
            return {**value, "lab": {}}
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all nodes, in order: node-1, node-2, ... in the lab, the hosts' own otherwise."""
        if self.lab is not None:
            return tuple(f"node-{i}" for i in range(1, self.lab.count + 1))
        return tuple(host.name for host in self.hosts)
