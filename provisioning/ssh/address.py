"""Where a machine answers SSH, and as whom to log in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """One machine's SSH address.

    `host_key` is the key the machine must show ("ssh-ed25519 AAAA…"); empty means that the first one seen is
    believed, and the caller records it (`Connection.host_key`). `identity_file` is a private key in OpenSSH or PEM
    format; empty means the password if there is one, else the agent and the user's own keys in ~/.ssh.
    """

    host: str
    port: int = 22
    user: str = "root"
    host_key: str = ""
    identity_file: str = ""

    @property
    def label(self) -> str:
        """The machine's name in messages: the host, with the port when it is not SSH's own."""
        if self.port == 22:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
