"""The steps to a version, in their order: bring what takes long, act on files and units, prove that it serves."""

from __future__ import annotations

from dataclasses import replace

from provisioning.converge import artifacts, files, health, packages, units
from provisioning.converge.changes import Changes, restart_digest
from provisioning.converge.machine import Machine
from provisioning.converge.record import Started, load_records, save_record
from provisioning.converge.version import Version


def bring(machine: Machine, wanted: Version, changes: Changes) -> None:
    """What takes long and disturbs nobody: a version that runs goes on running."""
    if changes.packages:
        packages.install(machine.shell, changes.packages)
    own, _ = load_records(machine.shell, machine.stack)
    if (kept_idle := packages.keep_idle(machine.shell, own)) != own:
        save_record(machine.shell, kept_idle)
    for path in changes.artifacts:
        artifacts.bring(machine, path, wanted.state.artifacts[path], wanted.secrets)


def act(machine: Machine, wanted: Version, changes: Changes) -> None:
    """Put the files in their places, have the program check them, and start, restart, reload or stop units."""
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
        note_result(machine, wanted)


def note_result(machine: Machine, wanted: Version) -> None:
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


def prove(machine: Machine, wanted: Version) -> int | None:
    """Wait until it serves; the measured number of its gate, if it has one."""
    expected = wanted.state
    if expected.ready:
        health.wait_until_ready(machine, expected.ready, wanted.secrets)
    return health.pass_gate(machine, expected.gate) if expected.gate else None
