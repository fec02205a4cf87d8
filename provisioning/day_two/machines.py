"""Many machines asked at once: one thread and one SSH session for each, so that sixteen take as long as one."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TypeVar

from provisioning.day_two.answers import Answer, Answers
from provisioning.errors import CommandError, ProvisioningError
from provisioning.ssh import Address, Connection, Connections

COMMAND_S = 15
"""What one command may take; all commands of a machine run side by side."""

_Key = TypeVar("_Key", bound=Hashable)
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class WayIn:
    """How a machine is reached; `password` is for login and sudo."""

    address: Address
    password: str | None = None


class Machines:
    """The machines of a stack by their names; a context manager that closes their connections."""

    def __init__(self, ways_in: Mapping[str, WayIn]) -> None:
        self._ways_in = ways_in
        self._connections = Connections()

    def ask(self, commands: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Answers]:
        """The answers of each machine to its commands, all run at once and as root; raises nothing of a machine."""
        return in_parallel({name: partial(self._ask_one, name, commands[name]) for name in commands})

    def run(self, name: str, argv: Sequence[str], *, timeout_s: float = 60) -> Answer:
        """One command on one machine. Raises HostError and CommandError when nobody knows how it ended."""
        result = self.connection(name).run(argv, timeout_s=timeout_s, check=False)
        return Answer(result.exit_code, result.stdout + result.stderr)

    def connection(self, name: str) -> Connection:
        """The machine's connection, opened if need be. Raises HostError."""
        way_in = self._ways_in[name]
        return self._connections.get(way_in.address, way_in.password)

    def close(self) -> None:
        """Ends all connections; whoever still waits for an answer gets none."""
        self._connections.close_all()

    def _ask_one(self, name: str, commands: Sequence[Sequence[str]]) -> Answers:
        try:
            lines = [shlex.join(command) for command in commands]
            said = self.connection(name).script(_ASK, str(COMMAND_S), *lines, timeout_s=COMMAND_S + 15).stdout
            return _answers(said, name, len(lines))
        except ProvisioningError as error:
            return error

    def __enter__(self) -> Machines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def in_parallel(work: Mapping[_Key, Callable[[], _Found]]) -> dict[_Key, _Found]:
    """What each piece of work returns, in the order of `work`; the first error, if there are any.

    The threads do not hold up the end of the program: an interrupt need not wait for a machine that is silent.
    """
    found: dict[_Key, _Found] = {}
    errors: list[BaseException] = []

    def do(key: _Key) -> None:
        try:
            found[key] = work[key]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=do, args=(key,), daemon=True) for key in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return {key: found[key] for key in work}


_RECORD = "\x1e"

_ASK = """# asking several things at once
limit_s=$1
shift
# In memory: a machine whose disks are full must still say so.
folder=$(mktemp -d -p /run)
trap 'rm -rf -- "$folder"' EXIT
number=0
for line in "$@"; do
    number=$((number + 1))
    {
        code=0
        timeout "$limit_s" sh -c "$line" >"$folder/$number" 2>&1 || code=$?
        echo "$code" >"$folder/$number.code"
    } &
done
wait
number=0
for line in "$@"; do
    number=$((number + 1))
    printf '\\036%s\\n' "$(cat "$folder/$number.code")"
    cat "$folder/$number"
done
"""


def _answers(said: str, host: str, expected: int) -> tuple[Answer, ...]:
    _, *records = said.split(_RECORD)
    heads = [record.partition("\n") for record in records]
    if len(heads) != expected or not all(code.isdigit() for code, _, _ in heads):
        raise CommandError(host, ("sh",), 0, said[-300:], what="asking several things at once")
    return tuple(Answer(int(code), text) for code, _, text in heads)
