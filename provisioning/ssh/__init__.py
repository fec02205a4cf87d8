"""SSH to the machines: `Connections` hands out a `Connection` per `Address`. Only here is paramiko known."""

import logging

from provisioning.ssh.address import Address
from provisioning.ssh.connection import Connection
from provisioning.ssh.connections import Connections
from provisioning.ssh.session import Result

__all__ = ["Address", "Connection", "Connections", "Result"]

# Whatever it logs also reaches us as an exception; its log adds tracebacks that nobody asked for.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)
