"""Start, read, remove and sweep lab nodes: the decisions; machine.py and network.py carry them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from provisioning.errors import LabError
from provisioning.lab import commands
from provisioning.lab.folders import NodeRecord, check_room, lab_dir, node_folder, recorded_nodes, stack_lock
from provisioning.lab.image import image_dir
from provisioning.lab.keys import identity_file, public_half
from provisioning.lab.local import plain_errors, require_programs
from provisioning.lab.machine import Machine, bound_folders
from provisioning.lab.names import StackNames
from provisioning.lab.network import ensure_network, is_cabled, remove_network
from provisioning.lab.processes import all_processes
from provisioning.lab.values import NODE_NAME, STACK_NAME, LabNodeFacts, LabNodeState

Progress = Callable[[str], None]

RESTART_TIMEOUT_S = 30
"""For the orderly end of a node that is booted again: its services may have something to write."""


@plain_errors()
def start(state: LabNodeState, progress: Progress = lambda _: None) -> LabNodeFacts:
    """Makes the node, boots it again with its disk, or adopts it as it runs; returns when an SSH login works.

    Whatever an earlier call left when it was killed is taken up or cleared away. A node whose address, network, binds
    or keys changed is rebooted with its disk; one whose image changed must be removed first.

    Raises LabError. What is refused (an image or a bind that is missing, a network in use) is refused before anything
    is made; a node that was made but does not answer stays, for a look at it, until it is removed.
    """
    require_programs()
    check_room()
    bound_folders(state)
    machine = _machine(state.stack, state.name)
    with stack_lock(state.stack):
        known = machine.folder.read_record()
        if known is None or known.removing:
            _clear(machine, known)
            known = None
        record = _wanted_record(state, known)
        ensure_network(machine.names, state.gateway, progress)
        if known and known.state != state:
            progress(f"{state.name}: stops, to take its new settings")
            machine.stop(RESTART_TIMEOUT_S)
            machine.drop_network(known.state.address)
        machine.folder.write_record(record)
        if machine.is_adoptable():
            machine.connect(state)
        else:
            progress(f"{state.name}: boots")
            machine.boot(record, progress)
    waited_s = machine.await_login(state.address)
    progress(f"{state.name}: answers at {state.address} after {waited_s:.1f} s")
    facts = read(state)
    if facts is None:
        raise LabError(f"node {state.name} was removed by somebody else while it booted")
    return facts


@plain_errors()
def read(state: LabNodeState) -> LabNodeFacts | None:
    """The node as it is, by its stack and name; None when there is none."""
    machine = _machine(state.stack, state.name)
    record = machine.folder.read_record()
    if record is None:
        return None
    address = record.state.address
    return LabNodeFacts(
        address=address,
        port=22,
        user="root",
        host_key=public_half(machine.folder.host_key),
        identity_file=str(identity_file()),
        running=not record.removing and is_cabled(machine.names, address) and machine.is_alive(),
    )


@plain_errors()
def remove(state: LabNodeState) -> None:
    """Leaves nothing of the node, and with the last one nothing of the stack. One that is not there is fine."""
    machine = _machine(state.stack, state.name)
    with stack_lock(state.stack):
        _remove_node(machine, machine.folder.read_record())
        if not _nodes(machine.names):
            remove_network(machine.names)


@plain_errors()
def sweep(stack: str) -> list[str]:
    """Removes everything that bears the stack's name, whether it is recorded or not; the nodes that it removed."""
    names = _names(stack)
    with stack_lock(stack):
        swept = _nodes(names)
        for node in swept:
            machine = _machine(stack, node)
            _remove_node(machine, _legible_record(machine))
        remove_network(names)
    return swept


@plain_errors()
def nodes_of(stack: str) -> list[LabNodeState]:
    """The recorded nodes of a stack, by name."""
    records = [node_folder(stack, node).read_record() for node in recorded_nodes(stack)]
    return [record.state for record in records if record]


def _wanted_record(state: LabNodeState, known: NodeRecord | None) -> NodeRecord:
    """What the disk is made from stays what it was: an overlay is worth nothing above another image."""
    if known is None:
        return NodeRecord(state, image_dir(state.image))
    if known.state.image != state.image:
        raise LabError(f"node {state.name} was made from another image: remove it, then start it anew")
    if not known.image.is_dir():
        raise LabError(
            f"the image {known.image} of node {state.name} is gone: remove the node, then start it anew"
        )
    return replace(known, state=state)


def _clear(machine: Machine, record: NodeRecord | None) -> None:
    """What a removal or a sweep that was cut off left of the node."""
    if machine.leaves_traces():
        _remove_node(machine, record)


def _remove_node(machine: Machine, record: NodeRecord | None) -> None:
    """The record says that the removal has begun before it does, so that nobody boots half a disk."""
    if record:
        machine.folder.write_record(replace(record, removing=True))
    machine.remove(record.state.address if record else "")


def _legible_record(machine: Machine) -> NodeRecord | None:
    """A sweep is the way out when a record is damaged, so it must not stumble over it."""
    try:
        return machine.folder.read_record()
    except LabError:
        return None


def _nodes(names: StackNames) -> list[str]:
    """Every node of a stack that left a trace: a folder, a process or a network namespace."""
    namespaces = commands.NAMESPACES.iterdir() if commands.NAMESPACES.is_dir() else iter(())
    machines = {name for process in all_processes() for name in process.machines} | {
        path.name for path in namespaces
    }
    found = {names.node(machine) or "" for machine in machines} | set(recorded_nodes(names.stack))
    return sorted(node for node in found if NODE_NAME.fullmatch(node))


def _machine(stack: str, node: str) -> Machine:
    return Machine(_names(stack), node, node_folder(stack, node))


def _names(stack: str) -> StackNames:
    if not STACK_NAME.fullmatch(stack):
        raise LabError(f"{stack!r} is not the name of a stack")
    return StackNames(str(lab_dir()), stack)
