"""Address types of a spec: hosts, networks and SSH host keys.

A validator's ValueError is the operator's message as it stands: it continues `nodes.hosts[0].address: `.
"""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from infra.spec.document import shown
from infra.spec.text import LABEL

HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*")


def _address(value: str) -> str:
    if is_ipv4(value):
        return value
    if _is_ipv6(value):
        raise ValueError("is an IPv6 address, which is not built yet: give an IPv4 address or a DNS name")
    if re.search(r"[/@ ]", value):
        raise ValueError(f"must be the bare address, without scheme, user or path, not {shown(value)}")
    if ":" in value:
        raise ValueError(f"must be the bare address, not {shown(value)}: the port is a key of its own")
    if re.fullmatch(r"[0-9.]+", value) or not _DNS_NAME.fullmatch(value.lower()):
        raise ValueError(f"must be an IPv4 address or a DNS name, not {shown(value)}")
    return value.lower()


def _own_address(value: str) -> str:
    if _is_ipv6(value):
        raise ValueError("is an IPv6 address, which is not built yet: give an IPv4 address")
    if not is_ipv4(value):
        raise ValueError(
            f"must be an IPv4 address of the machine's own, such as 10.0.0.7, not {shown(value)}"
        )
    address = IPv4Address(value)
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        raise ValueError(
            f"must be one address that clients' packets arrive at, such as 10.0.0.7, not {value}"
        )
    return value


def _endpoint(value: str) -> str:
    if "@" in value:  # not shown: what stands before it may be a password
        raise ValueError("must be a web address without user and password, such as https://hub.example.com")
    if not _ENDPOINT.fullmatch(value):
        raise ValueError(f"must be a web address such as https://hub.example.com, not {shown(value)}")
    return value.rstrip("/")


def _network(value: Any) -> IPv4Network:
    if not isinstance(value, str):
        raise ValueError("must be a network such as 198.51.100.0/24")
    address, _, prefix = value.partition("/")
    if _is_ipv6(address):
        raise ValueError("is an IPv6 network, which is not built yet: give an IPv4 network")
    if not is_ipv4(address) or not re.fullmatch(r"[0-9]{0,2}", prefix) or int(prefix or 32) > 32:
        raise ValueError(f"must be a network such as 198.51.100.0/24, not {shown(value)}")
    network = IPv4Network((address, int(prefix or 32)), strict=False)
    if str(network.network_address) != address:
        raise ValueError(
            f"has bits set behind its prefix: write {network} for the network, {address}/32 for the host"
        )
    return network


def is_ipv4(text: str) -> bool:
    """Whether an address is an IPv4 address, not a name."""
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _host_key(value: str) -> str:
    """The type and the key of an OpenSSH public key line; a comment after them is dropped."""
    kind, _, rest = value.strip().partition(" ")
    if kind.startswith(("SHA256:", "MD5:")):
        raise ValueError("is a fingerprint: give the whole key, as `ssh-keyscan ADDRESS` prints it")
    if "PRIVATE KEY" in value:  # not shown
        raise ValueError(
            "is a private key: give the machine's public host key, as `ssh-keyscan ADDRESS` prints it"
        )
    if kind not in HOST_KEY_TYPES:
        raise ValueError(
            f"must begin with its type, one of {', '.join(HOST_KEY_TYPES)}, not {shown(kind)}:"
            " take what `ssh-keyscan ADDRESS` prints after the address"
        )
    key = rest.strip().partition(" ")[0]
    if _type_inside(key) != kind:
        raise ValueError(
            f"is cut off or mistyped: the text after {kind} is not such a key, copy the line again"
        )
    return f"{kind} {key}"


def _type_inside(key: str) -> str:
    """The type that a key names first (RFC 4253, 6.6: fields, each after its length), or nothing if it is not whole."""
    try:
        blob = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return ""
    fields: list[bytes] = []
    while blob:
        end = 4 + int.from_bytes(blob[:4], "big")
        if len(blob) < end or end == 4:
            return ""
        fields.append(blob[4:end])
        blob = blob[end:]
    return fields[0].decode("ascii", "replace") if len(fields) > 1 else ""


Address = Annotated[str, AfterValidator(_address)]
OwnAddress = Annotated[str, AfterValidator(_own_address)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Network = Annotated[
    IPv4Network,
    BeforeValidator(_network),
    WithJsonSchema({"type": "string", "examples": ["198.51.100.0/24"]}),
]
HostKey = Annotated[str, AfterValidator(_host_key)]
