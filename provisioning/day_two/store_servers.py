"""Several servers that hold the same state: which one leads, and a snapshot in the place of what all of them hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from provisioning.day_two.answers import Answers
from provisioning.day_two.machines import Machines, in_parallel
from provisioning.day_two.snapshots import TAKE_S, Progress, load, sent
from provisioning.errors import CommandError, ProvisioningError

POLL_S = 0.5


@dataclass(frozen=True)
class Server:
    """One of them: its machine, its unit without `.service`, and the folder of its commands there."""

    node: str
    unit: str
    folder: str

    @property
    def sentinel(self) -> str:
        """The unit of the Sentinel beside it."""
        return f"{self.unit}-sentinel.service"

    @property
    def data_folder(self) -> str:
        """Where it keeps what it holds."""
        return f"/var/lib/{self.unit}"


@dataclass(frozen=True)
class Look:
    """What one says of itself. `role` is master, slave or silent; `primary` the address that it leads or follows by;
    `in_sync` counts those that follow it and keep up."""

    address: str
    role: str
    primary: str
    link: str
    in_sync: int


def parse_look(text: str) -> Look:
    """The answer of `peers look`. Raises ValueError when it is none."""
    address, role, primary, link, in_sync = text.split()
    return Look(address, role, primary, link, int(in_sync))


def primary_of(looks: Mapping[str, Look]) -> str:
    """The node of the server that leads; where none says so, of the one that all others follow.

    So a primary that is down for a moment, with no Sentinel to replace it, is still the primary. Raises
    ProvisioningError where they do not agree.
    """
    leading = [node for node, look in looks.items() if look.role == "master"]
    if len(leading) > 1:
        leading = [node for node in leading if looks[node].in_sync]
    if not leading:
        followed = {look.primary for look in looks.values() if look.role == "slave"}
        leading = [node for node, look in looks.items() if {look.address} == followed]
    if len(leading) != 1:
        said = "; ".join(f"{node}: {look.role}, primary {look.primary}" for node, look in looks.items())
        raise ProvisioningError(
            f"the servers do not agree who leads ({said}): wait until Sentinels have settled it, then run again"
        )
    return leading[0]


def leading_server(machines: Machines, servers: Sequence[Server]) -> Server:
    """The one that leads now, by those whose machines answer. Raises ProvisioningError."""
    looks, _ = _look_at(machines, servers)
    lead = primary_of(looks)
    return next(server for server in servers if server.node == lead)


def restore_all(
    machines: Machines,
    servers: Sequence[Server],
    source: Path,
    progress: Progress,
    tell: Callable[[str], None],
) -> tuple[Server, int]:
    """Has all servers hold the snapshot and nothing else: the primary reads it, the others copy from there.

    Sentinels are stopped for that time, so that nobody with other data takes the primary's place. The primary, and the
    number of its keys. Raises ProvisioningError, with nothing touched unless it says otherwise.
    """
    looks, missing = _look_at(machines, servers)
    if missing:
        reasons = "\n".join(map(str, missing.values()))
        raise ProvisioningError(
            f"{reasons}\nnothing was touched: a server that misses a restore would go on with what it holds"
        )
    lead = next(server for server in servers if server.node == primary_of(looks))
    shell = machines.connection(lead.node)
    with sent(shell, lead.data_folder, source, progress) as path, _without_sentinels(machines, servers):
        try:
            keys = load(shell, f"{lead.folder}/restore", path)
        except CommandError as error:
            # What it held is back when the command itself says that it failed; with no answer nobody knows.
            if error.exit_code is not None:
                _wait_for_followers(machines, lead, len(servers), tell)
                _sentinels(machines, servers, "start")
            raise
        _wait_for_followers(machines, lead, len(servers), tell)
    return lead, keys


def _look_at(
    machines: Machines, servers: Sequence[Server]
) -> tuple[dict[str, Look], dict[str, ProvisioningError]]:
    """By node: what they say, and why some do not."""
    words = {server.node: (f"{server.folder}/peers", "look") for server in servers}
    answers = machines.ask({node: [argv] for node, argv in words.items()})
    looks: dict[str, Look] = {}
    missing: dict[str, ProvisioningError] = {}
    for node, said in answers.items():
        try:
            looks[node] = _read(node, words[node], said)
        except ProvisioningError as error:
            missing[node] = error
    return looks, missing


def _read(node: str, argv: Sequence[str], said: Answers) -> Look:
    if isinstance(said, Exception):
        raise said
    try:
        return parse_look(said[0].text)
    except ValueError:
        raise CommandError(node, argv, said[0].exit_code, said[0].text) from None


@contextmanager
def _without_sentinels(machines: Machines, servers: Sequence[Server]) -> Iterator[None]:
    """They run again after a block that ends well; after one that does not, the error says that they do not."""
    try:
        _sentinels(machines, servers, "stop")
        yield
        _sentinels(machines, servers, "start")
    except (ProvisioningError, KeyboardInterrupt) as error:
        if _all_watch(machines, servers):
            raise
        nodes = ", ".join(server.node for server in servers)
        raise ProvisioningError(
            f"{error or 'stopped by the operator'}\nSentinels may be stopped, so that no server takes another's place: "
            f"run the restore again. To leave it at what the servers hold now: `systemctl start {servers[0].sentinel}` "
            f"on {nodes}"
        ) from error


def _sentinels(machines: Machines, servers: Sequence[Server], verb: str) -> None:
    in_parallel({server.node: partial(_systemctl, machines, server, verb) for server in servers})


def _systemctl(machines: Machines, server: Server, verb: str) -> None:
    machines.connection(server.node).run(["systemctl", verb, "--", server.sentinel], timeout_s=120)


def _all_watch(machines: Machines, servers: Sequence[Server]) -> bool:
    asked = {server.node: [("systemctl", "is-active", "--quiet", server.sentinel)] for server in servers}
    answers = machines.ask(asked).values()
    return all(not isinstance(said, Exception) and said[0].exit_code == 0 for said in answers)


def _wait_for_followers(machines: Machines, lead: Server, servers: int, tell: Callable[[str], None]) -> None:
    """Until all others have copied what the primary holds: a process that began anew counts only whom it has met."""
    deadline = time.monotonic() + TAKE_S
    while True:
        looks, missing = _look_at(machines, [lead])
        in_sync = looks[lead.node].in_sync if lead.node in looks else 0
        if in_sync >= servers - 1:
            return
        said = next(map(str, missing.values()), f"{in_sync} of {servers - 1} servers have copied it")
        if time.monotonic() > deadline:
            raise ProvisioningError(f"{lead.node} leads, but after {TAKE_S} s {said}")
        tell(f"{lead.node}: {said}")
        time.sleep(POLL_S)
