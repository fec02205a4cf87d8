"""Host keys as people write them, and as ssh-keygen names them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.ssh.address import Address
from provisioning.ssh.hostkey import HostKey, changed_key_sentence, in_preferred_order, parse_host_key

_ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKCyThRifxvYw4l3D5/7ZAA1QT/OsoOWLxrzjWtlDmec"
_FINGERPRINT = "SHA256:QYRdGSSLwPbOehIX539NwBuXRrChpMIZTvHQOUfBTsw"  # by ssh-keygen -lf
_OFFERED = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
]


@pytest.mark.parametrize(
    "text",
    [
        _ED25519,
        f"{_ED25519} root@gpu-1",
        f"  {_ED25519}\n",
        f"203.0.113.7 {_ED25519}",
        f"[203.0.113.7]:2222 {_ED25519} a comment",
    ],
)
def test_a_key_with_or_without_what_stands_around_it(text):
    assert str(parse_host_key(text)) == _ED25519


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints():
    assert parse_host_key(_ED25519).fingerprint == _FINGERPRINT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a public key"),
        (_FINGERPRINT, "not a public key"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "not a public key"),
        ("ssh-ed25519", "cut off or mistyped after 'ssh-ed25519'"),
        (_ED25519[:-9], "cut off or mistyped"),
        (_ED25519[:-4], "cut off or mistyped"),
        (_ED25519.replace("/", "*"), "cut off or mistyped"),
        (_ED25519.replace("ssh-ed25519 ", "ssh-rsa "), "cut off or mistyped after 'ssh-rsa'"),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_host_key(text)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_key_never_pass_for_one(blob):
    with pytest.raises(ValueError, match="cut off or mistyped"):
        parse_host_key(f"ssh-ed25519 {base64.b64encode(blob).decode()}")


@given(
    st.sampled_from(["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]), st.binary(min_size=1, max_size=300)
)
def test_a_key_reads_back_as_it_was_written(algorithm, body):
    name = algorithm.encode()
    key = HostKey(algorithm, len(name).to_bytes(4, "big") + name + len(body).to_bytes(4, "big") + body)
    assert parse_host_key(str(key)) == key


@pytest.mark.parametrize(
    ("algorithm", "first"),
    [
        (None, ["ssh-ed25519"]),
        ("ecdsa-sha2-nistp384", ["ecdsa-sha2-nistp384", "ssh-ed25519"]),
        ("ssh-rsa", ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]),
    ],
)
def test_the_pinned_kind_of_key_is_asked_for_first_and_no_kind_is_left_out(algorithm, first):
    order = in_preferred_order(_OFFERED, HostKey(algorithm, b"") if algorithm else None)
    assert order[: len(first)] == first
    assert sorted(order) == sorted(_OFFERED)


def test_a_changed_key_is_told_with_both_fingerprints_and_what_to_do():
    expected, seen = parse_host_key(_ED25519), HostKey("ssh-rsa", b"other")
    assert changed_key_sentence(expected, seen, "ssh-keyscan -p 22 203.0.113.7") == (
        f"the host key has changed (expected {_FINGERPRINT}, seen {seen.fingerprint} ssh-rsa); nothing was sent to it. "
        "If the machine was reinstalled, compare the fingerprint on its console and put the new key, from "
        "`ssh-keyscan -p 22 203.0.113.7`, into host_key; if it was not, someone may be answering in its place"
    )


@pytest.mark.parametrize(
    ("address", "label"),
    [
        (Address("203.0.113.7"), "203.0.113.7"),
        (Address("203.0.113.7", 2222), "203.0.113.7:2222"),
        (Address("2001:db8::7"), "2001:db8::7"),
        (Address("2001:db8::7", 2222), "[2001:db8::7]:2222"),
        (Address("203.0.113.7", 2222, name="gpu-1"), "gpu-1"),
    ],
)
def test_how_messages_call_a_machine(address, label):
    assert address.label == label
