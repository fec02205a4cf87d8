"""The record that a stack keeps on a machine: what it put there, written before it acts.

It makes removal complete after a crash that the Pulumi state never saw, and it is what tells a file, a package or a
folder that we brought from one that was there before. One file per stack; other stacks' records are read to see what
they still need.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from provisioning.errors import ProvisioningError
from provisioning.ssh import Connection

ROOT = "/var/lib/agentfleet/.records"
"""Readable by root alone. Beside it, below /var/lib/agentfleet, the services have their own state."""


@dataclass(frozen=True)
class Started:
    """What a unit was last started with, and which of its starts that was."""

    digest: str
    invocation: str


@dataclass(frozen=True)
class ServiceRecord:
    """What one service has on the machine.

    `files` maps each path to where the file that stood there before is kept ("" when there was none).
    `artifacts` maps each folder to whether this stack brought it.
    """

    packages: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    artifacts: Mapping[str, bool] = field(default_factory=dict)
    started: Mapping[str, Started] = field(default_factory=dict)
    data_folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Install:
    """One run of the package manager: what was asked for and all that it brought.

    `leavings` are paths that were not there before and that the packages do not clean up themselves. `idle` are the
    packages' own units that were disabled, and go with them; None until somebody has looked.
    """

    wanted: tuple[str, ...]
    brought: tuple[str, ...]
    leavings: tuple[str, ...] = ()
    idle: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Record:
    """Everything that one stack has on one machine; `services` in the order in which they were first brought."""

    stack: str
    services: Mapping[str, ServiceRecord] = field(default_factory=dict)
    installs: tuple[Install, ...] = ()

    @property
    def folder(self) -> str:
        """Where the record and the backups stand."""
        return f"{ROOT}/{self.stack}"

    def service(self, name: str) -> ServiceRecord:
        """The record of a service; an empty one if there is none."""
        return self.services.get(name, ServiceRecord())

    def with_service(self, name: str, service: ServiceRecord | None) -> Record:
        """The record with that service's part replaced in its place, or taken out."""
        if service is not None:
            return replace(self, services={**self.services, name: service})
        return replace(self, services={key: item for key, item in self.services.items() if key != name})


def needed_packages(records: Iterable[Record]) -> frozenset[str]:
    """Every package that some service of some stack asks for."""
    return frozenset(
        p for record in records for service in record.services.values() for p in service.packages
    )


def used_artifacts(records: Iterable[Record]) -> frozenset[str]:
    """Every artifact folder that some service of some stack uses."""
    return frozenset(
        p for record in records for service in record.services.values() for p in service.artifacts
    )


def inherit(record: Record, others: Iterable[Record], packages: Iterable[str]) -> Record:
    """The record with the installs of other stacks that brought one of `packages`: the last user cleans up."""
    wanted = set(packages)
    theirs = [i for other in others for i in other.installs if wanted.intersection(i.wanted)]
    return replace(record, installs=tuple(dict.fromkeys((*record.installs, *theirs))))


def owner_of(path: str, records: Iterable[Record], stack: str, service: str) -> str | None:
    """`stack/service` that has `path`, if it is not this one."""
    for record in records:
        for name, other in record.services.items():
            if path in other.files and (record.stack, name) != (stack, service):
                return f"{record.stack}/{name}"
    return None


def load_records(shell: Connection, stack: str) -> tuple[Record, tuple[Record, ...]]:
    """This stack's record (empty at first) and those of the other stacks on the machine."""
    answer = shell.script(_LOAD, ROOT, timeout_s=30).stdout
    records = [parse_record(line) for line in answer.splitlines() if line.strip()]
    own = next((record for record in records if record.stack == stack), Record(stack))
    return own, tuple(record for record in records if record.stack != stack)


def save_record(shell: Connection, record: Record) -> None:
    """Write the record; take it and its folders away when it is empty."""
    if not record.services and not record.installs:
        shell.script(_DROP, record.folder, ROOT, timeout_s=30)
        return
    shell.script(_MAKE, record.folder, ROOT, timeout_s=30)
    data = (json.dumps(asdict(record), separators=(",", ":")) + "\n").encode()
    shell.put(f"{record.folder}/record.json", data, mode="0600", owner="root", group="root")


def parse_record(text: str) -> Record:
    """The inverse of what `save_record` writes. Raises ProvisioningError when it is damaged."""
    try:
        data = json.loads(text)
        services = {
            name: ServiceRecord(
                packages=tuple(item["packages"]),
                files=item["files"],
                folders=tuple(item["folders"]),
                units=tuple(item["units"]),
                artifacts=item["artifacts"],
                started={unit: Started(**value) for unit, value in item["started"].items()},
                data_folders=tuple(item.get("data_folders", ())),
            )
            for name, item in data["services"].items()
        }
        return Record(data["stack"], services, tuple(_install(item) for item in data["installs"]))
    except (ValueError, KeyError, TypeError) as error:
        message = f"a record below {ROOT} is damaged ({error}): restore it, or remove it and clean the machine by hand"
        raise ProvisioningError(message) from error


def _install(item: Mapping[str, Any]) -> Install:
    idle = item.get("idle", ())  # packages of a record without it have run their units since
    return Install(
        wanted=tuple(item["wanted"]),
        brought=tuple(item["brought"]),
        leavings=tuple(item["leavings"]),
        idle=None if idle is None else tuple(idle),
    )


_LOAD = """# reading the record
for record in "$1"/*/record.json; do
    [ ! -f "$record" ] || { cat -- "$record"; echo; }
done
"""
_MAKE = '# making room for the record\nmkdir -p -- "$1"; chmod 0700 -- "$2"'
_DROP = """# removing the record
rm -rf -- "$1/record.json" "$1/backup"
for folder in "$1" "$2" "$(dirname -- "$2")"; do
    [ ! -d "$folder" ] || rmdir -- "$folder" 2>/dev/null || break
done
"""
