"""Logging in over an encrypted link: a given key, else a password, else the agent's and the user's own keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import paramiko

from provisioning.errors import HostError, Unreachable
from provisioning.ssh.address import Address
from provisioning.ssh.deadline import Deadline

AUTHENTICATION_S = 15.0
_OWN_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_KEYS_TRIED = 5
"""sshd hangs up after six refused keys (MaxAuthTries); one try is left for a password."""


def log_in(transport: paramiko.Transport, address: Address, password: str | None, deadline: Deadline) -> None:
    """Authenticates as `address.user`, or raises HostError with what was tried and what to do."""
    transport.auth_timeout = deadline.within(AUTHENTICATION_S)
    try:
        if address.identity_file:
            _with_identity_file(transport, address, password)
        elif password is None or not _with_password(transport, address, password):
            _with_any_own_key(transport, address, password)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _login_error(transport, address, str(error)) from error


def _with_identity_file(transport: paramiko.Transport, address: Address, password: str | None) -> None:
    key = _load(address)
    try:
        still_asked = transport.auth_publickey(address.user, key)
    except paramiko.AuthenticationException as error:
        if not transport.is_active():
            raise
        raise HostError(
            address.label,
            f"it refuses the key {address.identity_file} ({key.fingerprint}) for user {address.user}; check that this "
            "user exists there and that its .ssh/authorized_keys holds the key's public half",
        ) from error
    if still_asked:
        _second_factor(transport, address, password, still_asked)


def _load(address: Address) -> paramiko.PKey:
    path = Path(address.identity_file).expanduser()

    def refuse(reason: str) -> HostError:
        return HostError(address.label, f"its identity_file {path} {reason}")

    try:
        return paramiko.PKey.from_path(path)
    except FileNotFoundError:
        raise refuse("does not exist; correct the path") from None
    except OSError as error:
        raise refuse(
            f"cannot be read ({error.strerror}); give the private key's file and read permission"
        ) from None
    except (TypeError, paramiko.PasswordRequiredException):
        # cryptography answers an encrypted key without its passphrase with TypeError
        advice = "`ssh-add` it and leave identity_file out, or give a key without one"
        raise refuse(f"is protected by a passphrase; {advice}") from None
    except Exception:  # whatever the parsers say about bytes that are no key
        if path.read_bytes()[:512].lstrip().startswith((b"ssh-", b"ecdsa-")):
            raise refuse("is a public key; give the private one, without .pub") from None
        advice = "`ssh-keygen -t ed25519` makes one, `puttygen -O private-openssh` converts PuTTY's"
        raise refuse(f"is not a private key of a known format; {advice}") from None


def _second_factor(
    transport: paramiko.Transport, address: Address, password: str | None, still_asked: list[str]
) -> None:
    if password is None or not {"password", "keyboard-interactive"} & set(still_asked):
        factors = ", ".join(still_asked)
        raise HostError(
            address.label,
            f"it takes the key and asks for a second factor ({factors}); give user {address.user} a login without one",
        )
    if not _with_password(transport, address, password):
        raise HostError(
            address.label, f"it takes the key and then refuses a password for user {address.user}"
        )


def _with_password(transport: paramiko.Transport, address: Address, password: str) -> bool:
    """Logs in with the password; False when the server takes none, so that it may be meant for sudo alone."""
    try:
        still_asked = transport.auth_password(address.user, password)
    except paramiko.AuthenticationException as error:
        if not transport.is_active():
            raise
        if (
            isinstance(error, paramiko.BadAuthenticationType)
            and "keyboard-interactive" not in error.allowed_types
        ):
            return False
        raise HostError(
            address.label,
            f"it refuses the password of user {address.user}; correct user or password, or use an identity_file",
        ) from error
    if still_asked:
        factors = ", ".join(still_asked)
        raise HostError(
            address.label, f"it takes the password and asks for more ({factors}); use an identity_file"
        )
    return True


def _with_any_own_key(transport: paramiko.Transport, address: Address, password: str | None) -> None:
    tried = []
    with contextlib.closing(paramiko.Agent()) as agent:
        for name, key in list(_own_keys(agent))[:_KEYS_TRIED]:
            tried.append(name)
            try:
                still_asked = transport.auth_publickey(address.user, key)
            except paramiko.AuthenticationException:
                if not transport.is_active():
                    break
            else:
                if still_asked:
                    _second_factor(transport, address, password, still_asked)
                return
    what = (
        f"it refuses {', '.join(tried)}"
        if tried
        else "there is no key to log in with in the agent or in ~/.ssh"
    )
    if password is not None:
        what = f"it takes no password, and {what}"
    raise HostError(
        address.label,
        f"{what} for user {address.user}; set identity_file to a private key whose public half is in that user's "
        ".ssh/authorized_keys there",
    )


def _own_keys(agent: paramiko.Agent) -> Iterator[tuple[str, paramiko.PKey]]:
    for key in agent.get_keys():
        yield f"the agent's {key.comment or key.get_name()}", key
    for name in _OWN_KEYS:
        path = Path.home() / ".ssh" / name
        # a key that cannot be read or wants a passphrase is passed over, as ssh does in batch mode
        with contextlib.suppress(Exception):
            yield str(path), paramiko.PKey.from_path(path)


def _login_error(transport: paramiko.Transport, address: Address, reason: str) -> HostError:
    """The server hung up, or said nothing. While a machine boots, it lets root in alone and says so (pam_nologin)."""
    handler = transport.auth_handler
    banner = cast("bytes | None", handler.banner if handler else None)  # get_banner() wants a live link
    said = " ".join((banner or b"").decode(errors="replace").split())[:100]
    if any(words in said for words in ("booting up", "shutting down", "going down")):
        return Unreachable(address.label, f'it takes no logins now ("{said}"); wait until it has booted')
    return HostError(
        address.label,
        f"it broke off the login of user {address.user} ({said or reason}); see `journalctl -u ssh` there",
    )
