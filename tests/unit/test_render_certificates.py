"""The script that makes a certificate of the fleet's CA, run as a node runs it, by the computer's own openssl."""

from __future__ import annotations

import grp
import os
import ssl
import subprocess
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from infra.plan.authority import CA_SECRET, ca_name
from infra.render.certificates import fleet_certificate
from provisioning.converge.secrets import fill
from tools.stack.generated import new_secret
from tools.stack.trust import ca_certificate

ADDRESSES = ("fleet.example.com", "10.0.0.7")
NAMES = (*ADDRESSES, "127.0.0.1", "localhost")


@dataclass(frozen=True)
class Node:
    """Folders of a node."""

    work: Path
    made: Path

    def run(self, key: str) -> subprocess.CompletedProcess[str]:
        """What the provider's unit does with the script."""
        group = grp.getgrgid(os.getgid()).gr_name
        [artifact] = fleet_certificate("shop", "agentfleet-shop-gateway", ADDRESSES, group=group).values()
        self.work.mkdir(exist_ok=True)
        script = self.work / "script.sh"
        script.write_text(fill(artifact.script, {CA_SECRET: key}))
        environment = {"PATH": os.environ["PATH"], "WORK": str(self.work), "DESTINATION": str(self.made)}
        words = ["sh", "-eu", str(script)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "work", tmp_path / "certificates" / "made")


@pytest.mark.parametrize("name", NAMES)
def test_it_proves_each_address_to_who_has_the_cas_certificate(node: Node, name: str) -> None:
    key = new_secret(CA_SECRET)
    assert node.run(key).returncode == 0
    shake_hands(node.made, ca_certificate(key, ca_name("shop")), name)


def test_it_proves_no_other_address_and_nothing_to_who_has_another_ca(node: Node) -> None:
    key = new_secret(CA_SECRET)
    node.run(key)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(node.made, ca_certificate(key, ca_name("shop")), "10.0.0.8")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(node.made, ca_certificate(new_secret(CA_SECRET), ca_name("shop")), "10.0.0.7")


def test_it_is_for_a_server_and_signs_nobody(node: Node) -> None:
    node.run(new_secret(CA_SECRET))
    made = x509.load_pem_x509_certificate((node.made / "server.crt").read_bytes())
    named = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {*map(str, named.get_values_for_type(x509.DNSName))} == {"fleet.example.com", "localhost"}
    assert named.get_values_for_type(x509.IPAddress) == [ip_address("10.0.0.7"), ip_address("127.0.0.1")]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not made.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_its_key_is_for_root_and_the_program_that_shows_it_and_the_cas_stays_nowhere(node: Node) -> None:
    key = new_secret(CA_SECRET)
    node.run(key)
    modes = {path.name: path.stat().st_mode & 0o777 for path in node.made.iterdir()}
    assert modes == {"ca.crt": 0o644, "server.crt": 0o644, "server.key": 0o640}
    assert node.made.stat().st_mode & 0o777 == 0o750
    assert not holding(node, key)


def test_made_anew_it_takes_the_place_of_the_one_before(node: Node) -> None:
    node.run(new_secret(CA_SECRET))
    key = new_secret(CA_SECRET)
    assert node.run(key).returncode == 0
    shake_hands(node.made, ca_certificate(key, ca_name("shop")), "10.0.0.7")
    assert len([*node.made.iterdir()]) == 3


def test_a_key_that_is_none_is_told_so_and_nothing_changes(node: Node) -> None:
    node.run(new_secret(CA_SECRET))
    before = {path: path.read_bytes() for path in node.made.iterdir()}
    ended = node.run("not a key at all")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        "problem: the setting caKey is no private key: make one by"
    )
    assert {path: path.read_bytes() for path in node.made.iterdir()} == before
    assert not holding(node, "not a key at all")


def holding(node: Node, key: str) -> list[Path]:
    """Files with a line of the key."""
    line = key.splitlines()[len(key.splitlines()) // 2]
    places = [*node.work.rglob("*"), *node.made.rglob("*")]
    return [path for path in places if path.is_file() and line in path.read_text()]


def shake_hands(made: Path, ca: str, name: str) -> None:
    """Between a server with this certificate and a client who is as strict as Python 3.13 is by default."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made / "server.crt", made / "server.key")
    client = ssl.create_default_context(cadata=ca)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in [*ends]:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
