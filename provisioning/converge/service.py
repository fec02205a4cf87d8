"""One service on one machine: converge to the wanted state, read it back, remove it. Twice changes nothing.

The order never varies: read, compare, write the record, packages, artifacts, out of the ring or from among its peers,
files, the program's own checker, units, ready, gate, back in. When a step after the record fails, the old files are put
back and the old version runs again.
"""

from __future__ import annotations

from dataclasses import replace

from provisioning.converge import artifacts, files, packages, units
from provisioning.converge.accounting import Outcome, accounting, recording
from provisioning.converge.actual import Actual, read_actual
from provisioning.converge.data import refuse_to_lose
from provisioning.converge.going_back import go_back
from provisioning.converge.machine import Machine
from provisioning.converge.peers import Place, in_turn
from provisioning.converge.preparation import prepare
from provisioning.converge.record import load_records, save_record, used_artifacts
from provisioning.converge.rotation import Membership, leave_for_good, out_of_ring
from provisioning.converge.steps import act, bring, prove
from provisioning.converge.version import Version
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
        changes = prepare(machine, wanted, before)
    with accounting(previous, lambda _: Outcome("the previous version was left as it was")), machine.lock:
        bring(machine, wanted, changes)
    touched, serves = changes.touches_units, changes.disturbs(before)
    absence = out_of_ring(member, touched=touched, serves=serves)
    # Peers that do not share their secrets cannot follow each other: no order would help, so none waits for another.
    shared = previous is None or previous.secrets == wanted.secrets
    turn = in_turn(place if shared else None, touched=touched, serves=serves)
    undoing = accounting(previous, lambda known: go_back(machine, wanted, known, before, changes))
    with recording(previous), absence, turn, undoing:
        with machine.lock:
            act(machine, wanted, changes)
        measured = prove(machine, wanted)
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
