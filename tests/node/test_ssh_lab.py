"""The connection against whole machines: their users, sudo, disks, firewalls and disappearances.

Every failure is told; the limits are 8 s for a silent network and 13 s for a silent shell.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from provisioning import lab
from provisioning.errors import CommandError, CommandTimeout, HostError, LinkBroken, Unreachable
from provisioning.facts import read_facts, unmet
from provisioning.lab.local import run_as_root
from provisioning.ssh import Address, Connections

pytestmark = pytest.mark.timeout(120)  # a failure that is not told hangs

_NOPASSWD = "put '{user} ALL=(ALL) NOPASSWD: ALL' into /etc/sudoers.d/agentfleet there, or log in as root"
_SHELL = "log in as another user, or give this one a normal shell such as /bin/bash"

_USERS = """\
# make users who can do more and less
for user in free asks one none nologin talks; do
    id "$user" 2>/dev/null || useradd -m -s /bin/bash "$user"
    echo "$user:opensesame" | chpasswd
    install -d -m 0700 -o "$user" "/home/$user/.ssh"
    install -m 0600 -o "$user" /root/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
done
cat >/etc/sudoers.d/users <<'end'
free ALL=(ALL) NOPASSWD: ALL
asks ALL=(ALL) ALL
one ALL=(ALL) NOPASSWD: /usr/bin/apt-get
talks ALL=(ALL) NOPASSWD: ALL
end
usermod -s /usr/sbin/nologin nologin 2>/dev/null
echo 'echo Welcome to this machine' >/home/talks/.bashrc
"""
_DISKS = """\
# make a small and a read-only file system
mkdir -p /mnt/small /mnt/frozen
mountpoint -q /mnt/small || mount -t tmpfs -o size=64k none /mnt/small
mountpoint -q /mnt/frozen || mount -t tmpfs -o ro none /mnt/frozen
"""


def _address(node, user="root"):
    facts = node.facts
    return Address(facts.address, facts.port, user, facts.host_key, facts.identity_file, name=node.state.name)


@pytest.fixture(scope="module")
def users(shared_lab_node):
    """Its address as each of several users."""
    with Connections() as connections:
        connections.get(_address(shared_lab_node)).script(_USERS)
    return lambda user: _address(shared_lab_node, user)


def _told(act, kind=HostError):
    """The error that `act` ends in."""
    with pytest.raises(kind) as caught:
        act()
    return caught.value


# ---- users and sudo ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "password", "by_key"),
    [
        pytest.param("root", None, True, id="root"),
        pytest.param("free", None, True, id="free sudo"),
        pytest.param("free", "needless", True, id="free sudo, needless password"),
        pytest.param("asks", "opensesame", True, id="sudo by password"),
        pytest.param("asks", "opensesame", False, id="login and sudo by password"),
    ],
)
def test_everyone_who_may_becomes_root(users, connections, user, password, by_key):
    address = users(user) if by_key else replace(users(user), identity_file="")
    machine = connections.get(address, password)
    assert machine.run(["id", "-u"]).stdout == "0\n"
    assert machine.run(["nft", "--version"]).exit_code == 0  # it lies in sbin
    assert machine.run(["cat"], stdin=b"line\n" * 500_000).stdout == "line\n" * 500_000
    assert machine.script("cat; echo $1", "argument").stdout == "argument\n"
    machine.put("/root/put", b"by root", mode="0600", owner="root", group="root")
    assert machine.run(["stat", "-c", "%U %a", "/root/put"]).stdout == "root 600\n"
    with pytest.raises(CommandError, match="exit 139, SIGSEGV"):
        machine.run(["sh", "-c", "kill -SEGV $$"])
    with pytest.raises(CommandTimeout):
        machine.run(["flock", "/run/test-ssh", "sleep", "600"], timeout_s=0.5)
    machine.run(["flock", "/run/test-ssh", "true"], timeout_s=30)  # free only when the command is gone


_REFUSED = {
    "sudo wants a password": (
        "asks",
        None,
        f"sudo asks user asks for a password; give password_config, or {_NOPASSWD.format(user='asks')}",
    ),
    "sudo refuses the password": (
        "asks",
        "wrong",
        f"sudo refuses the password of user asks; correct it, or {_NOPASSWD.format(user='asks')}",
    ),
    "no sudoer": (
        "none",
        "opensesame",
        f"sudo knows no user none; {_NOPASSWD.format(user='none')}",
    ),
    "a sudoer for one program": (
        "one",
        "opensesame",
        f"sudo does not let user one run every command; {_NOPASSWD.format(user='one')}",
    ),
    "no shell": (
        "nologin",
        None,
        f'user nologin can log in but not run commands (it says "This account is currently not available."); {_SHELL}',
    ),
    "a shell that talks": (
        "talks",
        None,
        (
            'the shell of user talks prints "Welcome to this machine" before a command\'s own output; '
            "make its start-up files (.bashrc, .profile) silent when they are not interactive"
        ),
    ),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_a_login_that_cannot_work_says_why(users, connections, case):
    user, password, sentence = _REFUSED[case]
    error = _told(lambda: connections.get(users(user), password))
    assert str(error) == f"host node-1: {sentence}"


def test_a_wrong_password(users, connections):
    error = _told(lambda: connections.get(replace(users("free"), identity_file=""), "wrong"))
    assert error.message == (
        "it refuses the password of user free; correct user or password, or use an identity_file"
    )


def test_a_key_for_nobody(users, connections):
    error = _told(lambda: connections.get(users("nobody-known")))
    assert error.message.startswith("it refuses the key ")
    assert "for user nobody-known; check that this user exists there" in error.message


def test_no_sudo_installed(lab_node, connections):
    connections.get(_address(lab_node)).script(_USERS + "mv /usr/bin/sudo /usr/bin/sudo.away")
    error = _told(lambda: connections.get(_address(lab_node, "free")))
    assert error.message == (
        f"sudo is not installed there; log in as root, or install it and {_NOPASSWD.format(user='free')}"
    )


_FORBID = r"echo 'Please login as the user \"ubuntu\" rather than the user \"root\".';echo;sleep 10;exit 142"
"""cloud-init writes this before root's keys when disable_root is set."""


def test_a_cloud_image_that_forbids_root_says_whom_to_be(users, connections):
    machine = connections.get(users("root"))
    keys = machine.run(["cat", "/root/.ssh/authorized_keys"]).stdout.splitlines()
    forbidden = "".join(f'command="{_FORBID}" {key}\n' for key in keys).encode()
    machine.put("/home/free/.ssh/authorized_keys", forbidden, mode="0600", owner="free", group="free")
    error = _told(lambda: connections.get(users("free")))
    machine.script("install -m 0600 -o free /root/.ssh/authorized_keys /home/free/.ssh/authorized_keys")
    assert error.message == (
        'user free can log in but not run commands (it says "Please login as the user "ubuntu" rather than the user '
        f'"root"."); {_SHELL}'
    )


def test_a_machine_that_still_boots_is_waited_for(users, connections):
    """As pam_nologin does until systemd says that users may log in."""
    machine = connections.get(users("root"))
    said = b"System is booting up. Unprivileged users are not permitted to log in yet."
    machine.put("/run/nologin", said + b"\n", mode="0644", owner="root", group="root")
    error = _told(lambda: connections.get(users("free")), Unreachable)
    assert error.message == f'it takes no logins now ("{said.decode()}"); wait until it has booted'
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(connections.get, users("free"), wait_s=60)
        machine.run(["rm", "/run/nologin"])
        assert waiting.result().run(["id", "-u"]).stdout == "0\n"


# ---- disks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "/mnt/small/x",
            (
                "writing /mnt/small/x failed (exit 1): cat: write error: No space left on device; "
                "free space on that file system"
            ),
        ),
        (
            "/mnt/frozen/x",
            (
                "writing /mnt/frozen/x failed (exit 1): mktemp: failed to create file via template "
                "\u2018/mnt/frozen/.x.XXXXXX\u2019: Read-only file system; "
                "it cannot be written there; remount it, or choose another place"
            ),
        ),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_no_file(users, connections, path, sentence):
    machine = connections.get(users("root"))
    machine.script(_DISKS)
    error = _told(
        lambda: machine.put(path, b"x" * 200_000, mode="0644", owner="root", group="root"), CommandError
    )
    assert str(error) == f"host node-1: {sentence}"
    assert machine.run(["find", "/mnt/small", "/mnt/frozen", "-type", "f"]).stdout == ""


# ---- networks and disappearances -----------------------------------------------------------------------------------


def test_a_port_behind_a_firewall(users, connections):
    machine = connections.get(users("root"))
    machine.script(
        "nft 'add table inet test-ssh; add chain inet test-ssh in { type filter hook input priority 0; }; "
        "add rule inet test-ssh in tcp dport 2222 drop'"
    )
    address = replace(users("root"), port=2222)
    error = _told(lambda: connections.get(address), Unreachable)
    machine.script("nft 'delete table inet test-ssh'")
    assert error.message == (
        f"no answer from {address.host} port 2222 within 8 s; "
        "check that it runs, its address, and the firewalls between"
    )


def test_an_sshd_that_hangs(users, connections):
    machine = connections.get(users("root"))
    pid = machine.script("cat /run/sshd.pid").stdout.strip()
    machine.run(["kill", "-STOP", pid])
    error = _told(lambda: connections.get(users("free")), Unreachable)
    machine.run(["kill", "-CONT", pid])
    assert "takes connections, but no SSH server says hello within 8 s" in error.message


def test_forty_logins_at_once_all_succeed(users):
    """sshd drops some of them at random (MaxStartups 10:30:100); each is tried again."""
    everyone = [Connections() for _ in range(40)]
    try:
        with ThreadPoolExecutor(40) as threads:
            keys = set(threads.map(lambda one: one.get(users("root")).host_key, everyone))
    finally:
        for one in everyone:
            one.close_all()
    assert keys == {users("root").host_key}


def test_sessions_of_stopped_commands_do_not_exhaust_the_machine(users, connections):
    """A stopped command holds its session until it ends; sshd grants ten (MaxSessions)."""
    machine = connections.get(users("root"))

    def stubborn(_):
        with pytest.raises(CommandTimeout):
            machine.run(["sh", "-c", "trap '' TERM; sleep 600 & wait; wait"], timeout_s=0.2)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(stubborn, range(16)))
    assert machine.run(["echo", "still here"]).stdout == "still here\n"


def test_a_machine_that_goes_silent_in_a_command_and_comes_back(lab_node, connections):
    machine = connections.get(_address(lab_node))
    machine.put("/root/silent.nft", _SILENT, mode="0600", owner="root", group="root")
    silence = "nft -f /root/silent.nft; sleep 25; nft 'delete table inet test-ssh'"
    machine.run(["systemd-run", "--quiet", "--on-active=1", "sh", "-c", silence])
    error = _told(lambda: machine.run(["sleep", "600"], timeout_s=600), LinkBroken)
    assert str(error) == (
        "host node-1: the connection broke while `sleep 600` ran, so its outcome is unknown; "
        "check that the machine is up, then run again: what is done already is not done twice"
    )
    assert connections.get(_address(lab_node), wait_s=60).run(["id", "-u"]).stdout == "0\n"


_SILENT = b"""\
add table inet test-ssh
add chain inet test-ssh in { type filter hook input priority 0; policy drop; }
add chain inet test-ssh out { type filter hook output priority 0; policy drop; }
"""


def test_a_machine_that_is_gone(lab_stack, connections):
    lab_stack.start("node-1")
    node = lab_stack.start("node-2")
    machine = connections.get(_address(node))
    lab.remove(node.state)
    run_as_root(["ip", "neighbour", "flush", "to", node.facts.address])  # as it is half a minute later
    error = _told(lambda: machine.run(["true"]), Unreachable)
    again = _told(lambda: connections.get(_address(node)), Unreachable)
    assert str(error) == str(again)
    assert str(again) == (
        f"host node-2: no way to {node.facts.address} port 22 from here (No route to host); "
        "check that it runs, its address, and the network between"
    )


def test_a_machine_that_was_reinstalled_under_its_address(lab_stack, connections):
    node = lab_stack.start("node-1")
    connections.get(_address(node))
    lab.remove(node.state)
    rebuilt = lab_stack.start("node-1")
    assert rebuilt.facts.host_key != node.facts.host_key
    error = _told(lambda: connections.get(_address(node)))
    assert error.message.startswith("the host key has changed (expected SHA256:")
    assert f"`ssh-keyscan -p 22 {node.facts.address}`" in error.message
    assert connections.get(_address(rebuilt)).host_key == rebuilt.facts.host_key


# ---- facts ---------------------------------------------------------------------------------------------------------


def test_the_facts_of_a_lab_node(users, connections):
    facts = read_facts(connections.get(users("root")))
    assert (facts.os_id, facts.systemd, facts.gpus) == ("debian", True, ())
    assert facts.memory_bytes > 1 << 30
    assert min(facts.free_bytes.values()) > 1 << 20
    assert 22 in facts.listening_ports
    assert unmet(facts, {"device": "cpu-lab", "device_count": 1.0, "min_driver": 0.0}) == []
