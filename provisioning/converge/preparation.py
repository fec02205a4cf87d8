"""What a version changes on a machine, decided and written down before anything is brought."""

from __future__ import annotations

from dataclasses import replace

from provisioning.converge import files, packages
from provisioning.converge.actual import Actual
from provisioning.converge.changes import Changes, find_changes
from provisioning.converge.machine import Machine
from provisioning.converge.record import Record, ServiceRecord, inherit, load_records, owner_of, save_record
from provisioning.converge.version import Version
from provisioning.errors import HostError
from provisioning.state import ServiceState


def prepare(machine: Machine, wanted: Version, before: Actual) -> Changes:
    """Decide, and write down what is about to be brought, before anything is."""
    expected = wanted.state
    own, others = load_records(machine.shell, machine.stack)
    everybody = (own, *others)
    owners = {
        path: owner_of(path, everybody, machine.stack, expected.name) for path in sorted(expected.files)
    }
    if taken := [f"{path} belongs to {owner}" for path, owner in owners.items() if owner]:
        raise HostError(machine.host, f"{', '.join(taken)}: two services cannot have one file")
    known = own.service(expected.name)
    changes = find_changes(expected, before, known, wanted.secrets)
    updated = inherit(own, others, expected.packages)
    missing = [p for p in changes.packages if not any(p in item.wanted for item in updated.installs)]
    if missing:
        machine.progress(f"packages: {' '.join(missing)}")
        install = packages.preview_install(machine.shell, missing)
        updated = replace(updated, installs=(*updated.installs, install))
    service = _planned_record(machine, expected, known, changes, everybody)
    updated = updated.with_service(expected.name, service)
    if updated != own:
        save_record(machine.shell, updated)
    files.keep_aside(machine.shell, {path: service.files[path] for path in expected.files})
    return changes


def _planned_record(
    machine: Machine,
    expected: ServiceState,
    known: ServiceRecord,
    changes: Changes,
    everybody: tuple[Record, ...],
) -> ServiceRecord:
    """What the service will have on the machine. Folders and artifacts that somebody brought are its own too: the
    last user cleans up."""
    services = [service for record in everybody for service in record.services.values()]
    brought = {path for service in services for path, ours in service.artifacts.items() if ours}
    places = [*expected.files, *(f"{folder}/x" for folder in expected.directories), *expected.artifacts]
    parents = {parent for place in places for parent in files.parents(place)}
    ours = {folder for service in services for folder in service.folders} & parents
    return replace(
        known,
        packages=tuple(sorted({*known.packages, *expected.packages})),
        files=files.backups(machine.shell, f"{everybody[0].folder}/backup", expected.files, known.files),
        folders=tuple(sorted({*known.folders, *ours, *files.missing_folders(machine.shell, parents)})),
        units=tuple(sorted({*known.units, *expected.units})),
        data_folders=tuple(sorted({*known.data_folders, *expected.data_folders})),
        artifacts={
            **known.artifacts,
            **{path: path in brought or path in changes.artifacts for path in expected.artifacts},
        },
    )
