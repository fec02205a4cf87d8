"""The connection against a real sshd on this computer, and against servers that are none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from provisioning.errors import CommandError, CommandTimeout, HostError, LinkBroken, Unreachable
from provisioning.ssh import Address, Connection, Connections, dial, handshake
from support.local_sshd import Forwarder, LocalSshd, fingerprint, generate_key, misbehaving
from support.traces import ROOT

_MANY = b"0123456789abcdef" * (1 << 18)
"""4 MiB, more than the 2 MiB window of a session."""


@pytest.fixture
def machine(sshd: LocalSshd, connections: Connections) -> Connection:
    return connections.get(sshd.address)


@pytest.fixture
def forwarder(sshd: LocalSshd):
    one = Forwarder(sshd.port)
    yield one
    one.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(dial, "GREETING_S", 0.5)
    monkeypatch.setattr(handshake, "HANDSHAKE_S", 0.5)
    monkeypatch.setattr(dial, "TURNED_AWAY_PAUSES_S", (0.01, 0.01, 0.01))


# ---- servers that are none -----------------------------------------------------------------------------------------


_TURNED_AWAY = (
    "127.0.0.1 port {port} takes connections and closes them at once; the server may be starting, be flooded with "
    "logins (MaxStartups in sshd_config) or have blocked this computer (fail2ban)"
)


def _refusal(connections, address):
    with pytest.raises(HostError) as caught:
        connections.get(address)
    return caught.value


@pytest.mark.parametrize(
    ("behave", "sentence"),
    [
        (
            lambda _: None,
            (
                "127.0.0.1 port {port} takes connections, but no SSH server says hello within 0.5 s; it may hang or be "
                "starting (look at its console), or another program listens there"
            ),
        ),
        (
            lambda client: client.close(),
            _TURNED_AWAY,
        ),
        (
            lambda client: client.sendall(b"Exceeded MaxStartups\r\n"),
            _TURNED_AWAY,
        ),
        (
            lambda client: client.sendall(b"220 mail.example.com ESMTP\r\n"),
            '127.0.0.1 port {port} does not speak SSH (it says "220 mail.example.com ESMTP"); check the port',
        ),
        (
            lambda client: client.sendall(b"SSH-2.0-Hanging_1.0\r\n"),
            (
                "its SSH server broke off the handshake, or did not finish it within 0.5 s; "
                "it may be overloaded or going down: look at its console"
            ),
        ),
        (
            lambda client: (client.sendall(b"SSH-2.0-Leaving_1.0\r\n"), client.close()),
            (
                "its SSH server broke off the handshake, or did not finish it within 0.5 s; "
                "it may be overloaded or going down: look at its console"
            ),
        ),
    ],
    ids=[
        "silent",
        "closes",
        "flooded",
        "another program",
        "hangs in the handshake",
        "leaves in the handshake",
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_no_sshd(connections, behave, sentence):
    with misbehaving(behave) as port:
        error = _refusal(connections, Address("127.0.0.1", port, name="gpu-1"))
    assert str(error) == "host gpu-1: " + sentence.format(port=port)


def test_a_closed_port(connections):
    with misbehaving(lambda _: None) as port:
        pass
    error = _refusal(connections, Address("127.0.0.1", port))
    assert isinstance(error, Unreachable)
    assert error.message == (
        f"127.0.0.1 port {port} is closed: it is up, but no SSH server listens there; check the port and sshd"
    )


@pytest.mark.parametrize("host", ["gpu-1.invalid", "a..b", "x" * 70])
def test_a_name_that_does_not_resolve(connections, host):
    error = _refusal(connections, Address(host))
    assert isinstance(error, Unreachable)
    assert error.message.startswith(f"the name {host} does not resolve (")
    assert error.message.endswith("); check its spelling, or give an IP address")


@pytest.mark.usefixtures("impatient")
def test_a_resolver_that_does_not_answer(connections, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(dial, "RESOLVE_S", 0.1)
    monkeypatch.setattr(dial.socket, "getaddrinfo", lambda *_, **__: answer.wait(60))
    message = _refusal(connections, Address("gpu-1.example")).message
    answer.set()
    assert message.startswith("the name gpu-1.example does not resolve (no answer within 0.1 s)")


# ---- the host key --------------------------------------------------------------------------------------------------


def test_without_a_pin_the_ed25519_key_is_shown(sshd, machine):
    assert machine.host_key == sshd.host_key("ed25519")


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_pinned_key_of_either_kind_is_recognised(sshd, connections, kind):
    pinned = replace(sshd.address, host_key=sshd.host_key(kind) + " root@gpu-1")
    assert connections.get(pinned).host_key == sshd.host_key(kind)


def test_a_changed_key_stops_before_anything_is_sent(sshd, connections, tmp_path):
    other = generate_key(tmp_path / "other")
    pinned = replace(sshd.address, host_key=other.with_suffix(".pub").read_text(), name="gpu-1")
    error = _refusal(connections, pinned)
    assert not isinstance(error, Unreachable)
    assert str(error) == (
        f"host gpu-1: the host key has changed (expected {fingerprint(other)}, "
        f"seen {fingerprint(sshd.folder / 'ed25519')} ssh-ed25519); nothing was sent to it. "
        "If the machine was reinstalled, compare the fingerprint on its console and put the new key, from "
        f"`ssh-keyscan -p {sshd.port} 127.0.0.1`, into host_key; if it was not, someone may be answering in its place"
    )


# ---- the login -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "form"), [("ed25519", "RFC4716"), ("rsa", "PEM"), ("ecdsa", "RFC4716")])
def test_keys_of_the_usual_kinds_log_in(sshd, connections, tmp_path, kind, form):
    identity = generate_key(tmp_path / "id", kind, form=form)
    authorized = sshd.folder / "identity.pub"
    before = authorized.read_text()
    authorized.write_text(before + identity.with_suffix(".pub").read_text())
    try:
        connections.get(replace(sshd.address, identity_file=str(identity)))
    finally:
        authorized.write_text(before)


def test_a_key_that_is_refused(sshd, connections, tmp_path):
    stranger = generate_key(tmp_path / "stranger")
    assert _refusal(connections, replace(sshd.address, identity_file=str(stranger))).message == (
        f"it refuses the key {stranger} ({fingerprint(stranger)}) for user root; check that this user exists there and "
        "that its .ssh/authorized_keys holds the key's public half"
    )


def _no_key(folder):
    return folder / "missing"


def _text(folder):
    path = folder / "text"
    path.write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_no_key, "does not exist; correct the path"),
        (
            lambda folder: folder,
            "cannot be read (Is a directory); give the private key's file and read permission",
        ),
        (
            lambda folder: generate_key(folder / "id", passphrase="secret"),  # noqa: S106
            "is protected by a passphrase; `ssh-add` it and leave identity_file out, or give a key without one",
        ),
        (
            lambda folder: generate_key(folder / "id", "rsa", passphrase="secret", form="PEM"),  # noqa: S106
            "is protected by a passphrase; `ssh-add` it and leave identity_file out, or give a key without one",
        ),
        (
            lambda folder: generate_key(folder / "id").with_suffix(".pub"),
            "is a public key; give the private one, without .pub",
        ),
        (
            _text,
            (
                "is not a private key of a known format; `ssh-keygen -t ed25519` makes one, "
                "`puttygen -O private-openssh` converts PuTTY's"
            ),
        ),
    ],
    ids=["missing", "folder", "passphrase", "old form with passphrase", "public", "PuTTY's"],
)
def test_an_identity_file_that_is_no_use(sshd, connections, tmp_path, make, reason):
    path = make(tmp_path)
    message = _refusal(connections, replace(sshd.address, identity_file=str(path))).message
    assert message == f"its identity_file {path} {reason}"


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / ".ssh"


def test_no_key_anywhere(sshd, connections, empty_home):  # noqa: ARG001
    assert _refusal(connections, replace(sshd.address, identity_file="")).message == (
        "there is no key to log in with in the agent or in ~/.ssh for user root; set identity_file to a private key "
        "whose public half is in that user's .ssh/authorized_keys there"
    )


def test_the_users_own_key_logs_in_and_one_that_is_refused_is_named(sshd, connections, empty_home):
    stranger = generate_key(empty_home / "id_rsa", "rsa")
    anyone = replace(sshd.address, identity_file="")
    assert _refusal(connections, anyone).message.startswith(
        f"it refuses {stranger} for user root; set identity_file"
    )
    (empty_home / "id_ed25519").write_bytes((sshd.folder / "identity").read_bytes())
    assert connections.get(anyone).run(["id", "-u"]).stdout == "0\n"


def test_the_agents_key_logs_in(sshd, connections, empty_home, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", str(empty_home / "agent"))
    with subprocess.Popen(["ssh-agent", "-D", "-a", empty_home / "agent"], stdout=subprocess.PIPE) as agent:
        try:
            assert agent.stdout
            agent.stdout.readline()
            subprocess.run(["ssh-add", "-q", sshd.folder / "identity"], check=True)
            assert connections.get(replace(sshd.address, identity_file="")).run(["id", "-u"]).stdout == "0\n"
        finally:
            agent.terminate()


# ---- commands ------------------------------------------------------------------------------------------------------


def test_both_outputs_and_the_exit_code(machine):
    result = machine.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")


def test_words_reach_the_program_as_they_are(machine):
    words = ["a b", "$HOME", "it's", '"', "*", "\n", "", "-n", "ü", "\\", "`id`", ";"]
    assert machine.run(["printf", "%s|", *words]).stdout == "".join(f"{word}|" for word in words)


def test_an_output_that_is_no_text_is_no_failure(machine):
    assert machine.run(["printf", "\\377ok"]).stdout == "\ufffdok"


def test_much_on_both_outputs_at_once(machine):
    loud = "head -c 9000000 /dev/zero >&2 & head -c 9000000 /dev/zero; wait"
    result = machine.run(["sh", "-c", loud])
    assert (len(result.stdout), len(result.stderr)) == (9_000_000, 9_000_000)


def test_much_on_stdin_comes_back(machine):
    assert machine.run(["cat"], stdin=_MANY).stdout.encode() == _MANY


def test_much_on_stdin_that_nobody_reads(machine):
    assert machine.run(["true"], stdin=_MANY).exit_code == 0


def test_a_failing_command_is_named_with_its_last_words(sshd, machine):
    with pytest.raises(CommandError) as caught:
        machine.run(["ls", "/no such folder"])
    assert str(caught.value) == (
        f"host 127.0.0.1:{sshd.port}: `ls '/no such folder'` failed (exit 2): "
        "ls: cannot access '/no such folder': No such file or directory"
    )


def test_a_command_that_a_signal_ended(machine):
    with pytest.raises(CommandError, match=r"failed \(exit 137, SIGKILL\)"):
        machine.run(["sh", "-c", "kill -9 $$"])


def test_a_command_over_its_time_is_stopped_and_its_output_told(machine, tmp_path):
    lock = f"{tmp_path}/lock"
    command = f"echo waiting for it; exec 9>{lock}; flock 9; sleep 600"
    with pytest.raises(CommandTimeout) as caught:
        machine.run(["sh", "-c", command], timeout_s=4)
    assert "did not end within 4 s and was stopped: waiting for it" in str(caught.value)
    machine.run(["flock", lock, "true"], timeout_s=30)  # free only when the command is gone


def test_a_command_that_leaves_its_output_open_is_told_what_to_do(machine):
    with pytest.raises(CommandTimeout) as caught:
        machine.run(["sh", "-c", "sleep 20 & exit 4"], timeout_s=4)
    assert caught.value.advice == (
        "it had ended (exit 4), but something that it started still holds its output open: "
        "start that with systemd-run, or send its output elsewhere"
    )


def test_a_failing_script_is_called_by_its_first_comment(sshd, machine):
    with pytest.raises(CommandError) as caught:
        machine.script('# fetch the weights\necho "no space in $1" >&2\nfalse\n', "/opt")
    assert str(caught.value) == (
        f'host 127.0.0.1:{sshd.port}: the script "fetch the weights" failed (exit 1): no space in /opt'
    )


@pytest.mark.parametrize(
    "data", [b"", b"text\n", _MANY, bytes(range(256))], ids=["empty", "text", "4 MiB", "bytes"]
)
def test_a_file_is_put(machine, tmp_path, data):
    machine.put(f"{tmp_path}/it's a file", data, mode="0640", owner="root", group="root")
    (put,) = tmp_path.iterdir()
    assert (put.name, put.read_bytes(), oct(put.stat().st_mode)) == ("it's a file", data, "0o100640")


def test_a_file_in_a_missing_folder(sshd, machine, tmp_path):
    with pytest.raises(CommandError) as caught:
        machine.put(f"{tmp_path}/missing/x", b"", mode="0644", owner="root", group="root")
    assert str(caught.value) == (
        f"host 127.0.0.1:{sshd.port}: writing {tmp_path}/missing/x failed (exit 1): "
        f"its folder {tmp_path}/missing does not exist; create the folder first"
    )


# ---- one connection for all ----------------------------------------------------------------------------------------


_COUNT = 'mkdir "$1/$2"; ls "$1" | wc -l; sleep 0.05; rmdir "$1/$2"'


def test_sixteen_threads_share_one_connection_and_four_sessions(forwarder, sshd, connections, tmp_path):
    address = replace(sshd.address, port=forwarder.port)

    def ask(number: int) -> int:
        argv = ["sh", "-c", _COUNT, "sh", str(tmp_path), str(number)]
        return int(connections.get(address).run(argv).stdout)

    with ThreadPoolExecutor(16) as threads:
        at_once = list(threads.map(ask, range(48)))
    assert forwarder.accepted == 1
    assert max(at_once) <= 4


def test_a_dead_link_is_opened_again_for_the_next_command(forwarder, sshd, connections):
    machine = connections.get(replace(sshd.address, port=forwarder.port))
    forwarder.cut()
    assert machine.run(["echo", "again"]).stdout == "again\n"
    assert forwarder.accepted == 2


def test_a_command_that_ran_when_the_link_died_is_not_run_again(forwarder, sshd, connections, tmp_path):
    machine = connections.get(replace(sshd.address, port=forwarder.port, name="gpu-1"))
    os.mkfifo(tmp_path / "started")
    command = ["sh", "-c", f"echo once >> {tmp_path}/runs; echo > {tmp_path}/started; sleep 600"]
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(machine.run, command, timeout_s=60)
        (tmp_path / "started").read_text()
        forwarder.cut()
        error = running.exception()
    assert isinstance(error, LinkBroken)
    assert str(error).startswith("host gpu-1: the connection broke while `sh -c")
    assert (tmp_path / "runs").read_text() == "once\n"
    assert machine.run(["echo", "again"]).stdout == "again\n"


def test_a_machine_that_is_gone_for_good_says_so_at_the_next_command(forwarder, sshd, connections):
    machine = connections.get(replace(sshd.address, port=forwarder.port))
    forwarder.close()
    with pytest.raises(Unreachable, match=r"port \d+ is closed: it is up"):
        machine.run(["true"])


@pytest.mark.usefixtures("impatient")
def test_a_login_that_is_dropped_at_random_is_tried_again(forwarder, sshd, connections):
    forwarder.to_drop = 2
    connections.get(replace(sshd.address, port=forwarder.port))
    assert forwarder.accepted == 3


def test_the_end_of_the_program_ends_what_still_runs(sshd, tmp_path):
    os.mkfifo(tmp_path / "started")
    with Connections() as connections, ThreadPoolExecutor(1) as thread:
        machine = connections.get(sshd.address)
        running = thread.submit(
            machine.run, ["sh", "-c", f"echo > {tmp_path}/started; sleep 600"], timeout_s=60
        )
        (tmp_path / "started").read_text()
        connections.close_all()
        assert isinstance(running.exception(), LinkBroken)


_FORGETFUL = """\
import sys, threading
from provisioning.ssh import Address, Connections
machine = Connections().get(Address("127.0.0.1", int(sys.argv[1]), identity_file=sys.argv[2]))
threading.Thread(target=machine.run, args=(["sleep", "600"],), kwargs={"timeout_s": 600}, daemon=True).start()
print(machine.run(["echo", "bye"]).stdout, end="")
"""


def test_a_program_that_forgets_to_close_still_ends(sshd):
    argv = [sys.executable, "-c", _FORGETFUL, str(sshd.port), sshd.address.identity_file]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "bye\n", "")
