"""One node's machine: its namespace, cable, disk and processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from provisioning.errors import LabError
from provisioning.lab import commands
from provisioning.lab.folders import NodeFolder, NodeRecord
from provisioning.lab.keys import ensure_key, identity_file, public_half
from provisioning.lab.local import run, run_as_root
from provisioning.lab.names import StackNames
from provisioning.lab.network import delete_interface, is_cabled
from provisioning.lab.processes import NSPAWN, keepers_of, processes_of, send
from provisioning.lab.seed import archive, node_resolv_conf, seed_files
from provisioning.lab.values import LabNodeState
from provisioning.places import cache_dir

LOGIN_TIMEOUT_S = 30
"""A node answers 1 to 2 s after its start; the rest is for a computer with other work."""

POWER_OFF_TIMEOUT_S = 5
"""For the orderly end of a node that is removed: its services need no more, and nspawn clears up after itself."""

KILL_TIMEOUT_S = 10
NSPAWN_RUN_FOLDER = Path("/run/systemd/nspawn/propagate")
RESOLV_CONFS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_POLL_S = 0.05


@dataclass(frozen=True)
class Machine:
    """A node's machine, whether it exists or not."""

    names: StackNames
    node: str
    folder: NodeFolder

    @property
    def name(self) -> str:
        """What it is called on this computer."""
        return self.names.machine(self.node)

    def is_alive(self) -> bool:
        """Whether it runs and somebody keeps it."""
        return bool(keepers_of(self.name))

    def is_adoptable(self) -> bool:
        """Whether it runs and its network can be put right from outside."""
        return self.is_alive() and os.path.lexists(self._namespace)

    def leaves_traces(self) -> bool:
        """Whether there is anything of it."""
        return self.folder.path.exists() or os.path.lexists(self._namespace) or not self._is_empty()

    def boot(self, record: NodeRecord, progress: Callable[[str], None]) -> None:
        """Starts it, with a fresh namespace and cable and the disk that it has.

        It is stopped first: where its keeper was killed, much of it still runs, on the same disk.
        """
        state = record.state
        self.stop()
        self.drop_network(state.address)
        run_as_root(commands.add_namespace(self.name))
        self.connect(state)
        self._mount(record)
        self._seed(state, progress)
        self.folder.log.write_text("")
        words = commands.nspawn(self.name, self.node, self.folder.merged, bound_folders(state))
        launch = commands.as_unit if Path("/run/systemd/system").is_dir() else commands.detached
        run_as_root(launch(words, self.name, self.folder.log))

    def connect(self, state: LabNodeState) -> None:
        """Gives it its cable and address; right for one that runs and has them, too."""
        veth = self.names.veth(state.address)
        if not is_cabled(self.names, state.address):
            delete_interface(veth)
            run_as_root(commands.add_cable(veth, self.names.bridge, self.name))
        for words in commands.set_node_network(veth, self.name, state.interface, state.gateway):
            run_as_root(words)

    def await_login(self, address: str) -> float:
        """Waits for a real SSH login; the seconds that it took. Raises LabError with the console's last lines."""
        self.folder.known_hosts.write_text(f"{address} {public_half(self.folder.host_key)}\n")
        words = commands.login(address, identity_file(), self.folder.known_hosts, ["true"])
        began_s = time.monotonic()
        while True:
            answer = run(words, check=False)
            waited_s = time.monotonic() - began_s
            if answer.exit_code == 0:
                return waited_s
            if not self.is_alive():
                raise LabError(
                    f"node {self.node} ended while it booted; its console:{self.folder.log_tail()}"
                )
            if waited_s > LOGIN_TIMEOUT_S:
                raise LabError(
                    f"node {self.node} runs but lets nobody log in at {address} after {LOGIN_TIMEOUT_S} s "
                    f"({answer.stderr.strip()}); its console:{self.folder.log_tail()}"
                )
            time.sleep(_POLL_S)

    def stop(self, timeout_s: float = POWER_OFF_TIMEOUT_S) -> None:
        """Ends it: in order if it does so in time, else by force. Its disk stays."""
        if nspawn := [process for process in keepers_of(self.name) if process.program == NSPAWN]:
            send("TERM", nspawn)
            _holds_within(timeout_s, self._is_empty)
        if left := processes_of(self.name):
            send("KILL", left)
            if not _holds_within(KILL_TIMEOUT_S, self._is_empty):
                raise LabError(
                    f"node {self.node} cannot be stopped: its processes remain in the group {self.name}"
                )
        self._clear_run_folders()

    def drop_network(self, address: str = "") -> None:
        """Takes its cable, when its address is known, and its namespace away."""
        if address:
            delete_interface(self.names.veth(address))
        if os.path.lexists(self._namespace):
            run_as_root(commands.delete_namespace(self.name))

    def remove(self, address: str = "") -> None:
        """Leaves nothing of it but its record, which goes with the folder, last."""
        self.stop()
        self._unmount()
        self.drop_network(address)
        folder = self.folder
        run_as_root(commands.delete_folders([folder.upper, folder.work, folder.merged]))
        run_as_root(commands.delete_folders([folder.path]))

    @property
    def _namespace(self) -> Path:
        return commands.NAMESPACES / self.name

    def _mount(self, record: NodeRecord) -> None:
        folder = self.folder
        if os.path.ismount(folder.merged):
            return
        run_as_root(commands.make_disk_folders([folder.upper, folder.work, folder.merged]))
        run_as_root(commands.mount_disk(record.image, folder.upper, folder.work, folder.merged))

    def _unmount(self) -> None:
        """At once where nothing uses it; a person's shell that stands in it keeps only what it sees."""
        merged = self.folder.merged
        while os.path.ismount(merged):
            if run_as_root(commands.unmount_disk(merged), check=False).exit_code != 0:
                run_as_root(commands.unmount_disk(merged, lazily=True))

    def _seed(self, state: LabNodeState, progress: Callable[[str], None]) -> None:
        own = ensure_key(identity_file(), "agentfleet lab")
        public = ensure_key(self.folder.host_key, f"root@{self.node}")
        resolv_conf = node_resolv_conf(path.read_text() for path in RESOLV_CONFS if path.exists())
        if not resolv_conf:
            progress("/etc/resolv.conf names no DNS server that a node can reach: nodes resolve no names")
        keys = [key for key in (own, state.authorized_key) if key]
        host_key = (self.folder.host_key.read_text(), public)
        files = seed_files(self.node, state.address, resolv_conf, keys, host_key)
        run_as_root(commands.unpack(self.folder.merged), stdin=archive(files))

    def _is_empty(self) -> bool:
        return not processes_of(self.name)

    def _clear_run_folders(self) -> None:
        """What nspawn leaves in /run when it is killed, and the control group that no systemd collects."""
        if NSPAWN_RUN_FOLDER.exists():
            run_as_root(commands.delete_folders([NSPAWN_RUN_FOLDER / self.name]))
        for group in commands.control_groups(self.name):
            if not _holds_within(KILL_TIMEOUT_S, partial(_is_deleted, group)):
                raise LabError(
                    f"node {self.node} is down, but something still runs in its control group {group}"
                )


def _is_deleted(group: Path) -> bool:
    """Right after its end a process without memory and name still counts in its group, for a moment."""
    return not group.exists() or run_as_root(commands.delete_control_group(group), check=False).exit_code == 0


def _holds_within(timeout_s: float, condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def bound_folders(state: LabNodeState) -> dict[str, Path]:
    """Path in the node to real folder on this computer; raises LabError where one is missing."""
    for below_cache in state.binds.values():
        if not (cache_dir() / below_cache).exists():
            raise LabError(
                f"node {state.name} needs {cache_dir() / below_cache}, which is missing: run `make setup`"
            )
    return {inside: (cache_dir() / below_cache).resolve() for inside, below_cache in state.binds.items()}
