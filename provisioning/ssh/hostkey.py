"""Host keys as values: parse what a person wrote, compare, say fingerprints. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

_ALGORITHMS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_EXAMPLE = '"ssh-ed25519 AAAA…", a line of `ssh-keyscan`'


@dataclass(frozen=True)
class HostKey:
    """A machine's public key: its type and its SSH wire form (RFC 4253, section 6.6)."""

    algorithm: str
    blob: bytes

    def __str__(self) -> str:
        """`ssh-ed25519 AAAA…`, as in known_hosts."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -lf` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


def parse_host_key(text: str) -> HostKey:
    """A key from "type base64", with or without a host name before or a comment behind it.

    Raises ValueError with a sentence that says what is wrong with the text.
    """
    words = text.split()
    place = next((i for i, word in enumerate(words) if word in _ALGORITHMS), None)
    if place is None:
        raise ValueError(f"its host_key is not a public key; expected {_EXAMPLE}")
    algorithm, encoded = words[place], "".join(words[place + 1 : place + 2])
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if _fields(blob)[:1] != [algorithm.encode()]:
        raise ValueError(f"its host_key is cut off or mistyped after {algorithm!r}; expected {_EXAMPLE}")
    return HostKey(algorithm, blob)


def in_preferred_order(offered: Sequence[str], pinned: HostKey | None) -> list[str]:
    """The signature types to negotiate, the pinned key's own first, so that the machine shows that key if it has it.

    Without a pin the order stays, which is ed25519 first. The others are kept: a machine that lost the pinned key
    then shows another one, and the comparison can name both.
    """
    if pinned is None:
        return list(offered)
    own = ("rsa-sha2-512", "rsa-sha2-256") if pinned.algorithm == "ssh-rsa" else (pinned.algorithm,)
    return [t for t in offered if t in own] + [t for t in offered if t not in own]


def changed_key_sentence(expected: HostKey, seen: HostKey, keyscan: str) -> str:
    """What to tell someone whose machine shows another key; `keyscan` is the command that prints the new one."""
    return (
        f"the host key has changed (expected {expected.fingerprint}, seen {seen.fingerprint} {seen.algorithm}); "
        "nothing was sent to it. If the machine was reinstalled, compare the fingerprint on its console and put the "
        f"new key, from `{keyscan}`, into host_key; if it was not, someone may be answering in its place"
    )


def _fields(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of a wire-format key; empty when they do not add up."""
    fields = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            return []
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields
