"""Where a machine answers SSH, and as whom to log in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Address:
    """One machine's SSH address.

    `host_key` is the key the machine must show ("ssh-ed25519 AAAA…"); empty means that the first one seen is
    believed, and the caller records it (`Connection.host_key`). `identity_file` is a private key in OpenSSH or PEM
    format; empty means the password if there is one, else the agent and the user's own keys in ~/.ssh.
    `name` is what messages call the machine.
    """

    host: str
    port: int = 22
    user: str = "root"
    host_key: str = ""
    identity_file: str = ""
    name: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """The machine in messages: its name, else where it is, with the port when that is not SSH's own."""
        if self.name:
            return self.name
        if self.port == 22:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """`203.0.113.7 port 22`, for messages about the network."""
        return f"{self.host} port {self.port}"
