"""Back to the version before, when a new one did not come up."""

from __future__ import annotations

from dataclasses import replace

from provisioning.converge import artifacts, files, units
from provisioning.converge.accounting import Outcome
from provisioning.converge.actual import Actual
from provisioning.converge.changes import Changes
from provisioning.converge.machine import Machine
from provisioning.converge.steps import note_result, prove
from provisioning.converge.version import Version
from provisioning.errors import ProvisioningError


def go_back(
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
            note_result(machine, previous)
        if touched:
            prove(machine, Version(replace(previous.state, gate=None), previous.secrets))
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
