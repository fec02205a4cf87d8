"""One service on one machine: converge to the wanted state, read it back, remove it. Twice changes nothing.

The order never varies: read, compare, write the record, packages, artifacts, out of the ring or from among its peers,
files, the program's own checker, units, ready, gate, back in. When a step after the record fails, the old files are put
back and the old version runs again.
"""

from __future__ import annotations

from dataclasses import replace

from provisioning.converge import artifacts, files, health, packages, units
from provisioning.converge.accounting import Outcome, accounting, recording
from provisioning.converge.actual import Actual, read_actual
from provisioning.converge.changes import Changes, find_changes, restart_digest
from provisioning.converge.data import refuse_to_lose
from provisioning.converge.machine import Machine
from provisioning.converge.peers import Place, in_turn
from provisioning.converge.record import (
    Record,
    ServiceRecord,
    Started,
    inherit,
    load_records,
    owner_of,
    save_record,
    used_artifacts,
)
from provisioning.converge.rotation import Membership, leave_for_good, out_of_ring
from provisioning.converge.version import Version
from provisioning.errors import HostError, ProvisioningError
from provisioning.state import ServiceState


def converge(
    machine: Machine,
    wanted: Version,
    previous: Version | None = None,
    member: Membership | None = None,
    place: Place | None = None,
) -> int | None:
    """Bring the machine to `wanted`; the measured number of its gate, if it has one.

    `previous` is what to go back to when the new version does not come up. `member` is the service's place in a ring,
    which it leaves only when its process is touched, and after all that takes long; `place` likewise the one among its
    peers. Raises RolledBack when the machine holds the previous version, as far as going back went, Unfinished when it
    holds the new one, and any other error when nothing was changed.
    """
    with machine.lock:
        before = read(machine, wanted.state)
        changes = _prepare(machine, wanted, before)
    with accounting(previous, lambda _: Outcome("the previous version was left as it was")), machine.lock:
        _bring(machine, wanted, changes)
    touched, serves = changes.touches_units, changes.disturbs(before)
    absence = out_of_ring(member, touched=touched, serves=serves)
    turn = in_turn(place, touched=touched, serves=serves)
    undoing = accounting(previous, lambda known: _go_back(machine, wanted, known, before, changes))
    with recording(previous), absence, turn, undoing:
        with machine.lock:
            _act(machine, wanted, changes)
        measured = _prove(machine, wanted)
    with accounting(None, lambda _: Outcome("")), machine.lock:
        _let_go(machine, wanted.state)
    return measured


def read(machine: Machine, expected: ServiceState) -> Actual:
    """What stands on the machine now, in the terms of `expected`."""
    own, _ = load_records(machine.shell, machine.stack)
    return read_actual(machine.shell, expected, own.service(expected.name).units)


def remove(machine: Machine, name: str, member: Membership | None = None) -> None:
    """Take a service away by its record: units, files, folders, artifacts and packages that it brought.

    Raises HostError, with nothing touched, for data that the operator has not given up.
    """
    own, _ = load_records(machine.shell, machine.stack)
    refuse_to_lose(machine, name, own.service(name).data_folders)
    if member:
        leave_for_good(member)
    with machine.lock:
        own, others = load_records(machine.shell, machine.stack)
        service = own.service(name)
        units.retire(machine.shell, service.units)
        files.withdraw(machine.shell, service.files)
        units.forget(machine.shell, service.units)
        own = own.with_service(name, None)
        in_use = used_artifacts((own, *others))
        for path, brought in service.artifacts.items():
            if brought and path not in in_use:
                artifacts.remove(machine.shell, path)
        own = packages.release(machine.shell, own, others)
        files.remove_folders(machine.shell, service.folders)
        save_record(machine.shell, own)


def remove_all(machine: Machine) -> None:
    """Take away every service that the stack's record names, whether Pulumi's state knows it or not.

    What was brought first goes last: the firewall stands for as long as something listens.
    """
    own, _ = load_records(machine.shell, machine.stack)
    for name in reversed([*own.services]):
        remove(machine, name)


def _prepare(machine: Machine, wanted: Version, before: Actual) -> Changes:
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


def _bring(machine: Machine, wanted: Version, changes: Changes) -> None:
    """What takes long and disturbs nobody: a version that runs goes on running."""
    if changes.packages:
        packages.install(machine.shell, changes.packages)
    own, _ = load_records(machine.shell, machine.stack)
    if (kept_idle := packages.keep_idle(machine.shell, own)) != own:
        save_record(machine.shell, kept_idle)
    for path in changes.artifacts:
        artifacts.bring(machine, path, wanted.state.artifacts[path], wanted.secrets)


def _act(machine: Machine, wanted: Version, changes: Changes) -> None:
    expected, shell = wanted.state, machine.shell
    if changes.touches_files or changes.attributes or changes.drop_units:
        own, _ = load_records(shell, machine.stack)
        units.retire(shell, changes.drop_units)
        files.write(shell, wanted, changes, own.service(expected.name).files)
    if changes.touches_files:
        units.daemon_reload(shell)
        for check in expected.checks:
            shell.run(check, timeout_s=60)
    if changes.start or changes.restart:
        machine.progress(f"starting {' '.join((*changes.start, *changes.restart))}")
    units.apply(shell, changes)
    if changes:
        _note_result(machine, wanted)


def _note_result(machine: Machine, wanted: Version) -> None:
    """Remember what each unit runs with now, and forget what an earlier version had and this one has not."""
    own, _ = load_records(machine.shell, machine.stack)
    known, expected = own.service(wanted.state.name), wanted.state
    digest = restart_digest(expected, wanted.secrets)
    runs = units.invocations(machine.shell, [name for name, unit in expected.units.items() if unit.active])
    service = replace(
        known,
        packages=expected.packages,
        files={path: kept for path, kept in known.files.items() if path in expected.files},
        units=tuple(sorted(expected.units)),
        started={name: Started(digest, invocation) for name, invocation in runs.items()},
    )
    if service != known:
        save_record(machine.shell, own.with_service(expected.name, service))


def _prove(machine: Machine, wanted: Version) -> int | None:
    expected = wanted.state
    if expected.ready:
        health.wait_until_ready(machine, expected.ready, wanted.secrets)
    return health.pass_gate(machine, expected.gate) if expected.gate else None


def _let_go(machine: Machine, expected: ServiceState) -> None:
    """Remove the folders that an earlier version brought and nobody uses any more; until now it could come back."""
    own, others = load_records(machine.shell, machine.stack)
    known = own.service(expected.name)
    kept = {path: ours for path, ours in known.artifacts.items() if path in expected.artifacts}
    if kept == known.artifacts:
        return
    own = own.with_service(expected.name, replace(known, artifacts=kept))
    in_use = used_artifacts((own, *others))
    for path, ours in known.artifacts.items():
        if ours and path not in in_use:
            machine.progress(f"removing {path}, which nobody uses any more")
            artifacts.remove(machine.shell, path)
    save_record(machine.shell, own)


def _go_back(
    machine: Machine, wanted: Version, previous: Version, before: Actual, changes: Changes
) -> Outcome:
    """Put the old files back and let the old units run again."""
    machine.progress(f"{wanted.state.name} did not come up: going back")
    running = [name for name, unit in before.units.items() if unit.active]
    touched: tuple[str, ...] = ()
    try:
        with machine.lock:
            touched = tuple(name for name in running if name in _disturbed(machine, before, changes))
            new_units = [name for name in wanted.state.units if name not in previous.state.units]
            units.retire(machine.shell, new_units)
            _bring_back(machine, previous, changes)
            files.put_back(machine.shell, before, changes)
            units.daemon_reload(machine.shell)
            reloaded = tuple(name for name in running if name in changes.reload)
            units.apply(machine.shell, Changes(restart=touched, reload=reloaded))
            _note_result(machine, previous)
        if touched:
            _prove(machine, Version(replace(previous.state, gate=None), previous.secrets))
    except ProvisioningError as error:
        return Outcome(f"going back to the previous version failed too: {error}", serves=False)
    clause = "the previous version is running again" if touched else "the previous files are back"
    return Outcome(clause, serves=bool(running))


def _bring_back(machine: Machine, previous: Version, changes: Changes) -> None:
    """What was made anew in its place is made once more, from the secrets of before."""
    for path in changes.artifacts:
        artifact = previous.state.artifacts.get(path)
        if artifact and artifact.made_from:
            artifacts.bring(machine, path, artifact, previous.secrets)


def _disturbed(machine: Machine, before: Actual, changes: Changes) -> set[str]:
    """Units that the change was to end or restart, and that a failure before its turn did not leave as they were."""
    now = units.invocations(machine.shell, changes.restart)
    restarted = {name for name, run in now.items() if run != before.units[name].invocation}
    return restarted | {*changes.drop_units}
