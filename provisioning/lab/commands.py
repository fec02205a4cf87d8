"""The commands that make and unmake a lab, as lists of words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface
from pathlib import Path

Words = list[str]

NAMESPACES = Path("/run/netns")
CONTROL_GROUP_TREES = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
"""Where systemd's own tree is: version 2, and versions 1 and 2 side by side."""

NODE_INTERFACE = "eth0"
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def make_bridge(bridge: str) -> Words:
    """The stack's network on this computer."""
    return ["ip", "link", "add", "name", bridge, "type", "bridge"]


def set_bridge(bridge: str, note: str, gateway: IPv4Interface) -> list[Words]:
    """Says whose the bridge is, gives it this computer's address, and switches it on; right any number of times."""
    return [
        ["ip", "link", "set", "dev", bridge, "alias", note],
        ["ip", "address", "replace", str(gateway), "dev", bridge],
        ["ip", "link", "set", "dev", bridge, "up"],
    ]


def delete_link(interface: str) -> Words:
    """Takes away a bridge, or a cable with both its ends."""
    return ["ip", "link", "delete", "dev", interface]


def set_ip_forward(on: bool) -> tuple[Words, bytes]:
    """The command and its stdin."""
    return ["tee", str(IP_FORWARD)], b"1\n" if on else b"0\n"


def load_table(table: str, bridge: str, gateway: IPv4Interface) -> tuple[Words, bytes]:
    """Loads the stack's own nft table, in place of an older one, in one transaction; the command and its stdin.

    Nodes reach the world as this computer. From outside, and from other stacks, nothing reaches a node but answers;
    this computer itself does not forward to its nodes and is not affected.
    """
    network = gateway.network
    rules = f"""\
add table inet {table}
delete table inet {table}
table inet {table} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {network} ip daddr != {network} masquerade
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname != "{bridge}" oifname "{bridge}" ct state != {{ established, related }} drop
    }}
}}
"""
    return ["nft", "-f", "-"], rules.encode()


def delete_table(table: str) -> tuple[Words, bytes]:
    """Deletes the table whether it is there or not; the command and its stdin."""
    return ["nft", "-f", "-"], f"add table inet {table}\ndelete table inet {table}\n".encode()


def add_namespace(machine: str) -> Words:
    """A network namespace of the node's own."""
    return ["ip", "netns", "add", machine]


def delete_namespace(machine: str) -> Words:
    """Takes the namespace away; a cable that ends in it goes with it."""
    return ["ip", "netns", "delete", machine]


def add_cable(veth: str, bridge: str, machine: str) -> Words:
    """Joins bridge and namespace in one step, so that no loose end can be left."""
    ends = ["type", "veth", "peer", "name", NODE_INTERFACE, "netns", machine]
    return ["ip", "link", "add", "name", veth, "master", bridge, *ends]


def set_node_network(
    veth: str, machine: str, interface: IPv4Interface, gateway: IPv4Interface
) -> list[Words]:
    """Switches the cable on and gives the node its address; nothing in the node has to know about its network."""
    inside = ["ip", "-n", machine]
    return [
        ["ip", "link", "set", "dev", veth, "up"],
        [*inside, "link", "set", "dev", "lo", "up"],
        [*inside, "address", "replace", str(interface), "dev", NODE_INTERFACE],
        [*inside, "link", "set", "dev", NODE_INTERFACE, "up"],
        [*inside, "route", "replace", "default", "via", str(gateway.ip)],
    ]


def make_disk_folders(folders: Sequence[Path]) -> Words:
    """Root's own folders: the mode of the upper one is that of the node's root folder."""
    return ["install", "-d", "-m", "0755", "-o", "root", "-g", "root", *map(str, folders)]


def mount_disk(image: Path, upper: Path, work: Path, merged: Path) -> Words:
    """The node's root file system: the image below, read-only, and what the node writes above it."""
    layers = f"lowerdir={image},upperdir={upper},workdir={work}"
    return ["mount", "-t", "overlay", "agentfleet-lab", "-o", layers, str(merged)]


def unmount_disk(merged: Path, *, lazily: bool = False) -> Words:
    """Lazily: now for us, and for the last process that still looks into it when that ends."""
    return ["umount", *(["--lazy"] if lazily else []), str(merged)]


def unpack(folder: Path) -> Words:
    """Unpacks the tar archive on stdin; folders that exist keep their owner and mode."""
    return ["tar", "--extract", "--file=-", f"--directory={folder}", "--numeric-owner", "--no-overwrite-dir"]


def machine_word(machine: str) -> str:
    """The word by which a node's processes are recognised among all others."""
    return f"--machine={machine}"


def nspawn(machine: str, hostname: str, merged: Path, binds: Mapping[str, Path]) -> Words:
    """Boots the node's own systemd. CAP_NET_ADMIN is for its own firewall, in its own network namespace."""
    return [
        *("systemd-nspawn", "--quiet", "--boot", machine_word(machine), f"--hostname={hostname}"),
        *(f"--directory={merged}", f"--network-namespace-path={NAMESPACES / machine}"),
        *("--capability=CAP_NET_ADMIN", "--settings=no", "--keep-unit", "--register=no"),
        *("--console=read-only", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
        *(f"--bind-ro={_escaped(source)}:{_escaped(inside)}" for inside, source in binds.items()),
    ]


REBOOTED = 133
"""The exit code of `systemd-nspawn --keep-unit` when the node asks for a reboot (systemd-nspawn(1), Exit status)."""

_KEEP = f"""\
exec </dev/null >>"$1" 2>&1
group=$2
shift 2
while :; do
    status=0
    (
        for tree in {" ".join(CONTROL_GROUP_TREES)}; do
            [ -e "$tree/cgroup.procs" ] || continue
            mkdir -p "$tree/$group" && echo 0 >"$tree/$group/cgroup.procs"
        done
        exec "$@"
    ) || status=$?
    [ "$status" -eq {REBOOTED} ] || exit "$status"
done
"""


def detached(nspawn_words: Words, machine: str, log: Path) -> Words:
    """Starts nspawn where PID 1 is not systemd: away from the terminal, and again when the node reboots.

    Each node gets a control group of its own. Without it two nodes would share one, and stopping a service in one
    node could end the other's.
    """
    return ["setsid", "--fork", "sh", "-c", _KEEP, "sh", str(log), machine, *nspawn_words]


def as_unit(nspawn_words: Words, machine: str, log: Path) -> Words:
    """Starts nspawn where PID 1 is systemd: as a transient service, which outlives the login that started it."""
    properties = [
        *("Delegate=yes", "KillMode=mixed", "TasksMax=16384", "RestartSec=0"),
        *(f"RestartForceExitStatus={REBOOTED}", f"SuccessExitStatus={REBOOTED}"),
        *(f"StandardOutput=append:{log}", f"StandardError=append:{log}"),
    ]
    options = ["--quiet", "--collect", f"--unit={machine}", "--slice=machine.slice"]
    return ["systemd-run", *options, *(f"--property={value}" for value in properties), *nspawn_words]


def control_groups(machine: str) -> list[Path]:
    """Where the node's control group may be."""
    return [Path(tree) / machine for tree in CONTROL_GROUP_TREES]


def delete_control_group(group: Path) -> Words:
    """Removes the control group and all below it; fails while one of them holds a process."""
    return ["find", str(group), "-depth", "-type", "d", "-exec", "rmdir", "--", "{}", "+"]


def delete_folders(folders: Sequence[Path]) -> Words:
    """Deletes trees, and nothing that is mounted in them."""
    return ["rm", "-rf", "--one-file-system", "--", *map(str, folders)]


def signal(name: str, pids: Sequence[int]) -> Words:
    """Sends a signal."""
    return ["kill", "-s", name, *map(str, pids)]


def login(address: str, identity: Path, known_hosts: Path, command: Sequence[str]) -> Words:
    """A login as root that believes only the key in `known_hosts`."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "2",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "/dev/null", "-i", str(identity), *words, f"root@{address}", *command]


def _escaped(path: Path | str) -> str:
    return str(path).replace("\\", "\\\\").replace(":", "\\:")
