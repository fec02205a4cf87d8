"""Names of lab things on a computer: unique, short enough for Linux, recognisable without a record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.lab.names import BridgeNote, StackNames, parse_note

NAMES = StackNames("/var/lib/agentfleet/lab", "stage1")
STACKS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", fullmatch=True)
NODES = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


@given(stack=STACKS, host=st.integers(2, 254))
def test_interface_names_fit_what_linux_allows(stack: str, host: int) -> None:
    names = StackNames("/home/somebody/.local/share/agentfleet/lab", stack)
    assert len(names.bridge) <= 15
    assert len(names.veth(f"198.18.7.{host}")) <= 15


@given(stack=STACKS, node=NODES)
def test_a_machine_leads_back_to_its_node(stack: str, node: str) -> None:
    names = StackNames("/var/lib/agentfleet/lab", stack)
    assert names.node(names.machine(node)) == node
    assert len(names.machine(node)) <= 64  # HOST_NAME_MAX, which is systemd's limit for a machine's name


def test_another_stack_and_another_home_have_other_names() -> None:
    others = [StackNames(NAMES.home, "stage2"), StackNames("/home/somebody/lab", "stage1")]
    assert len({names.bridge for names in [NAMES, *others]}) == 3
    for other in others:
        assert NAMES.node(other.machine("node-1")) is None
        assert not NAMES.owns_veth(other.veth("198.18.7.11"))


def test_a_stack_knows_its_cables_from_its_bridge() -> None:
    assert NAMES.owns_veth(NAMES.veth("198.18.7.11"))
    assert not NAMES.owns_veth(NAMES.bridge)
    assert not NAMES.owns_veth("eth0")


@given(stack=STACKS, ip_forward=st.booleans())
def test_a_bridge_remembers_its_note(stack: str, ip_forward: bool) -> None:
    note = BridgeNote(stack, ip_forward)
    assert parse_note(str(note)) == note
    assert len(str(note)) <= 255  # IFALIASZ of linux/if.h


@pytest.mark.parametrize("alias", ["", "uplink", "agentfleet-lab", "agentfleet-lab stack= ip_forward=2"])
def test_another_alias_is_no_note(alias: str) -> None:
    assert parse_note(alias) is None
