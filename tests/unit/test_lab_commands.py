"""The commands of the lab, word for word where a wrong word would hurt."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Interface
from pathlib import Path

from provisioning.lab import commands

GATEWAY = IPv4Interface("198.18.7.1/24")
MACHINE = "afl-11111111-node-1"
NSPAWN = commands.nspawn(MACHINE, "node-1", Path("/lab/root"), {"/opt/engine": Path("/cache/engines/a:b")})


def test_network_of_a_stack() -> None:
    assert commands.make_bridge("afl-11111111") == [
        "ip",
        "link",
        "add",
        "name",
        "afl-11111111",
        "type",
        "bridge",
    ]
    assert commands.set_bridge("afl-11111111", "a note", GATEWAY) == [
        ["ip", "link", "set", "dev", "afl-11111111", "alias", "a note"],
        ["ip", "address", "replace", "198.18.7.1/24", "dev", "afl-11111111"],
        ["ip", "link", "set", "dev", "afl-11111111", "up"],
    ]


def test_cable_of_a_node_is_made_with_both_ends_in_place() -> None:
    assert commands.add_cable("afl-11111111-0b", "afl-11111111", MACHINE) == (
        f"ip link add name afl-11111111-0b master afl-11111111 type veth peer name eth0 netns {MACHINE}".split()
    )


def test_address_of_a_node_is_set_from_outside() -> None:
    words = commands.set_node_network("afl-11111111-0b", MACHINE, IPv4Interface("198.18.7.11/24"), GATEWAY)
    assert [" ".join(command) for command in words] == [
        "ip link set dev afl-11111111-0b up",
        f"ip -n {MACHINE} link set dev lo up",
        f"ip -n {MACHINE} address replace 198.18.7.11/24 dev eth0",
        f"ip -n {MACHINE} link set dev eth0 up",
        f"ip -n {MACHINE} route replace default via 198.18.7.1",
    ]


def test_rules_name_only_the_stacks_own_table_and_bridge() -> None:
    words, stdin = commands.load_table("agentfleet_lab_11111111", "afl-11111111", GATEWAY)
    rules = stdin.decode()
    assert words == ["nft", "-f", "-"]
    assert rules.count("table inet agentfleet_lab_11111111") == rules.count("table") == 3
    assert "ip saddr 198.18.7.0/24 ip daddr != 198.18.7.0/24 masquerade" in rules
    assert (
        'iifname != "afl-11111111" oifname "afl-11111111" ct state != { established, related } drop' in rules
    )


def test_deleting_a_table_is_right_whether_it_is_there_or_not() -> None:
    assert commands.delete_table("agentfleet_lab_1") == (
        ["nft", "-f", "-"],
        b"add table inet agentfleet_lab_1\ndelete table inet agentfleet_lab_1\n",
    )


def test_forwarding_is_switched_by_its_file() -> None:
    assert commands.set_ip_forward(True) == (["tee", "/proc/sys/net/ipv4/ip_forward"], b"1\n")
    assert commands.set_ip_forward(False)[1] == b"0\n"


def test_disk_has_the_image_below_and_the_nodes_own_folder_above() -> None:
    assert commands.mount_disk(Path("/image"), Path("/n/disk"), Path("/n/work"), Path("/n/root")) == [
        *("mount", "-t", "overlay", "agentfleet-lab", "-o"),
        *("lowerdir=/image,upperdir=/n/disk,workdir=/n/work", "/n/root"),
    ]


def test_nothing_mounted_is_deleted_with_a_folder() -> None:
    assert commands.delete_folders([Path("/n/disk"), Path("/n/work")]) == (
        ["rm", "-rf", "--one-file-system", "--", "/n/disk", "/n/work"]
    )


def test_nspawn_gets_its_own_network_and_only_read_only_binds() -> None:
    assert NSPAWN[0] == "systemd-nspawn"
    assert f"--machine={MACHINE}" in NSPAWN
    assert f"--network-namespace-path=/run/netns/{MACHINE}" in NSPAWN
    assert [word for word in NSPAWN if word.startswith("--bind")] == [
        r"--bind-ro=/cache/engines/a\:b:/opt/engine"
    ]


def test_nspawn_takes_no_settings_and_no_place_in_machinectl() -> None:
    assert {"--settings=no", "--keep-unit", "--register=no", "--link-journal=no"} <= set(NSPAWN)


def test_a_unit_starts_again_when_the_node_reboots_and_is_forgotten_when_it_ends() -> None:
    words = commands.as_unit(NSPAWN, MACHINE, Path("/n/console.log"))
    assert words[-len(NSPAWN) :] == NSPAWN
    assert {"--collect", f"--unit={MACHINE}"} <= set(words)
    assert {"--property=RestartForceExitStatus=133", "--property=Delegate=yes"} <= set(words)
    assert "--property=StandardOutput=append:/n/console.log" in words


def run_keeper(tmp_path: Path, program: str) -> str:
    """Runs the keeper in the foreground with a shell script in nspawn's place; what it wrote to the log."""
    words = commands.detached(["sh", "-c", program], "afl-test-no-group", tmp_path / "log")
    assert words[:2] == ["setsid", "--fork"]
    script = words[4].replace("/sys/fs/cgroup", str(tmp_path))  # no control groups in a unit test
    subprocess.run(["sh", "-c", script, *words[5:]], cwd=tmp_path, check=False, timeout=30)
    return (tmp_path / "log").read_text()


def test_the_keeper_starts_a_node_again_only_when_it_reboots(tmp_path: Path) -> None:
    reboots_twice = 'echo x >> count; [ "$(wc -l < count)" -le 2 ] && exit 133; exit 0'
    run_keeper(tmp_path, reboots_twice)
    assert (tmp_path / "count").read_text() == "x\n" * 3


def test_the_keeper_writes_to_the_log_and_reads_nothing(tmp_path: Path) -> None:
    assert run_keeper(tmp_path, "cat; echo out; echo err >&2; exit 1") == "out\nerr\n"


def test_the_keeper_gives_the_node_a_control_group_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "cgroup.procs").touch()
    run_keeper(tmp_path, "exit 0")
    assert (tmp_path / "systemd" / "afl-test-no-group" / "cgroup.procs").read_text() == "0\n"


def test_a_login_believes_the_pinned_key_only() -> None:
    words = commands.login("198.18.7.11", Path("/lab/id"), Path("/n/known_hosts"), ["true"])
    assert words[:3] == ["ssh", "-F", "/dev/null"]
    assert words[-2:] == ["root@198.18.7.11", "true"]
    assert {"StrictHostKeyChecking=yes", "UserKnownHostsFile=/n/known_hosts", "BatchMode=yes"} <= set(words)
