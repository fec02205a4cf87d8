"""The provider without an engine or a machine: values on the wire, diffs, checks, what a preview can know."""

from __future__ import annotations

from typing import Any, cast
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import PropertyDiffKind

from provisioning.converge.ring import Rings
from provisioning.errors import HostError, Unreachable
from provisioning.provider.forgetting import VARIABLE, may_forget
from provisioning.provider.host import HostResource
from provisioning.provider.lab_node import LabNodeResource
from provisioning.provider.membership import leaving, membership, with_ring
from provisioning.provider.provider import FleetProvider
from provisioning.provider.resource import Context
from provisioning.provider.service import ServiceResource
from provisioning.provider.values import UNKNOWN, Properties, detailed_diff, from_plain, has_unknown, to_plain
from provisioning.ssh import Connections
from provisioning.state import Peers

FILE = {"text": "a\n", "mode": "0644", "owner": "root", "group": "root", "on_change": "restart"}
SERVICE: Properties = {
    "stack": "s",
    "name": "web",
    "connection": {"name": "n1", "address": "192.0.2.1"},
    "files": {"/etc/x": FILE},
    "secrets": {"api_key": "k"},
    "directories": [],
    "artifacts": {},
    "packages": [],
    "checks": [],
    "units": {},
}

NO_CONTEXT = cast("Context", None)

scalars = st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=20)
trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=9), below, max_size=3),
)
keys = st.text("abcdefgh", min_size=1, max_size=8)


@given(st.dictionaries(keys, trees, max_size=4))
def test_plain_values_survive_the_wire(values: dict[str, Any]) -> None:
    on_the_wire = PropertyValue.marshal_map(from_plain(values))
    assert to_plain(PropertyValue.unmarshal_map(on_the_wire)) == values


def test_an_unknown_survives_the_wire() -> None:
    on_the_wire = PropertyValue.marshal_map(from_plain({"connection": UNKNOWN, "list": [UNKNOWN]}))
    plain = to_plain(PropertyValue.unmarshal_map(on_the_wire))
    assert plain["connection"] is UNKNOWN
    assert has_unknown(plain["list"])
    assert not has_unknown({"a": [1, {"b": None}]})


def test_secrets_are_marked_as_secret_on_the_way_out() -> None:
    gateway = {"connection": {"name": "n1"}, "password": "p"}
    wrapped = from_plain({"secrets": {"password": "k"}, "password": "p", "name": "web", "gateway": gateway})
    assert [key for key, value in wrapped.items() if value.is_secret] == ["secrets", "password"]
    inner = {key: value.value for key, value in wrapped.items()}
    assert [key for key, value in inner["gateway"].items() if value.is_secret] == ["password"]  # type: ignore[union-attr]
    assert not inner["secrets"]["password"].is_secret  # type: ignore[index,call-overload]


@given(st.dictionaries(keys, trees, max_size=4))
def test_equal_inputs_differ_nowhere(values: dict[str, Any]) -> None:
    assert detailed_diff({**values, "an_output": 1}, values, frozenset()) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param({"a": 1}, {"a": 2}, {"a": "UPDATE"}, id="changed"),
        pytest.param({}, {"a": 2}, {"a": "ADD"}, id="new"),
        pytest.param(
            {"files": {"/etc/x": FILE}},
            {"files": {"/etc/x": {**FILE, "text": "b\n"}}},
            {'files["/etc/x"].text': "UPDATE"},
            id="one text of one file",
        ),
        pytest.param(
            {"files": {"/etc/x": FILE}}, {"files": {}}, {'files["/etc/x"]': "DELETE"}, id="a file less"
        ),
        pytest.param(
            {"connection": {"address": "1", "port": 22}},
            {"connection": {"address": "2", "port": 23}},
            {"connection.address": "UPDATE_REPLACE", "connection.port": "UPDATE"},
            id="another machine replaces, another port does not",
        ),
        pytest.param({"name": "a"}, {"name": "b"}, {"name": "UPDATE_REPLACE"}, id="another name replaces"),
    ],
)
def test_each_changed_place_is_named(old: Properties, new: Properties, expected: dict[str, str]) -> None:
    found = detailed_diff(old, new, frozenset({"name", "connection.address"}))
    assert {path: diff.kind for path, diff in found.items()} == {
        path: PropertyDiffKind[kind] for path, kind in expected.items()
    }


@pytest.mark.parametrize(
    ("change", "property_", "words"),
    [
        ({"name": "Web"}, "name", "lower-case"),
        ({"files": {"etc/x": FILE}}, 'files["etc/x"]', "absolute path"),
        ({"files": {"/etc/a b": FILE}}, 'files["/etc/a b"]', "without spaces"),
        ({"files": {"/etc/../x": FILE}}, 'files["/etc/../x"]', "absolute path"),
        ({"files": {"/x": {**FILE, "mode": "644"}}}, 'files["/x"].mode', "four octal digits"),
        ({"files": {"/x": {**FILE, "text": "${secret:api_key}"}}}, 'files["/x"].mode', "holds a secret"),
        (
            {"files": {"/x": {**FILE, "mode": "0600", "text": "${secret:other}"}}},
            'files["/x"].text',
            "the secret other, which is not given",
        ),
        ({"directories": ["etc"]}, "directories", "absolute path"),
    ],
)
def test_what_could_not_be_converged_is_named(change: Properties, property_: str, words: str) -> None:
    failures = ServiceResource().check({**SERVICE, **change})
    assert [failure.property for failure in failures] == [property_]
    assert words in failures[0].reason


def test_unknown_inputs_pass_the_check() -> None:
    assert ServiceResource().check({**SERVICE, "connection": UNKNOWN, "secrets": UNKNOWN}) == []
    assert HostResource().check({"stack": "s", "access": UNKNOWN}) == []
    assert LabNodeResource().check({"stack": "s", "name": UNKNOWN}) == []


def test_a_host_without_an_address_is_named() -> None:
    failures = HostResource().check(
        {"stack": "s", "access": {"name": "n", "address": "", "port": 22, "user": "root"}}
    )
    assert [failure.property for failure in failures] == ["access.address"]


def test_a_lab_node_outside_its_network_is_named() -> None:
    inputs = {"stack": "s", "name": "n1", "network": "198.18.1.0/24", "address": "198.18.2.9", "binds": {}}
    assert "must lie in 198.18.1.0/24" in LabNodeResource().check(inputs)[0].reason


def test_a_preview_knows_the_gate_when_nothing_that_it_depends_on_changes() -> None:
    report = {"planned": 1, "measured": 1, "of": "tokens"}
    gate = {"planned": 1, "unit_of_measure": "tokens"}
    inputs, old = {**SERVICE, "gate": gate}, {**SERVICE, "gate": gate, "gate_report": report}
    assert ServiceResource().foresee(inputs, old)["gate_report"] == report
    changed = {**inputs, "packages": ["curl"]}
    assert ServiceResource().foresee(changed, old)["gate_report"]["measured"] is UNKNOWN
    assert ServiceResource().foresee(SERVICE, {})["gate_report"] is None


def test_the_connections_end_with_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Mock()
    monkeypatch.setattr(Connections, "close_all", ended)
    FleetProvider("127.0.0.1:1").close()
    ended.assert_called_once()


def test_a_place_in_a_ring_needs_a_gateway_to_mean_anything() -> None:
    assert "rotation" not in SERVICE
    assert leaving({**SERVICE, "rotation": {"ring": "r"}}, NO_CONTEXT) is None
    assert membership(SERVICE, {**SERVICE, "gateway": {}}, NO_CONTEXT) is None
    assert with_ring(SERVICE, NO_CONTEXT) == SERVICE


def test_servers_that_hold_the_same_take_turns_within_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` asks for each by itself; the ring that they share is what keeps two from being disturbed at once."""
    places: list[Any] = []
    monkeypatch.setattr(
        "provisioning.converge.service.converge",
        lambda *_, place=None, **__: places.append(place),
    )
    context = Context(Mock(), Rings(), Mock(), Mock(), lambda: False)
    for member in ("state on n1", "state on n2"):
        peers = {"ring": "s/state", "member": member, "command": ["/peers"]}
        ServiceResource().create({**SERVICE, "peers": peers}, context)
    ServiceResource().create(SERVICE, context)
    one, other, alone = places
    assert (one.peers, alone) == (Peers("s/state", "state on n1", ("/peers",)), None)
    assert one.ring is other.ring


def test_a_preview_knows_a_connection_only_while_the_access_stays() -> None:
    old = {"access": {"address": "1"}, "connection": {"address": "1", "host_key": "k"}, "facts": {}}
    host = HostResource()
    assert host.foresee({"access": {"address": "1"}}, old)["connection"] == old["connection"]
    assert host.foresee({"access": {"address": "2"}}, old)["connection"] is UNKNOWN


def test_a_dead_machine_is_forgotten_only_with_the_stack_or_on_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warned: list[str] = []
    error = Unreachable("gpu-1", "does not answer")
    monkeypatch.delenv(VARIABLE, raising=False)
    may_forget({"name": "gpu-1", "ephemeral": True}, error, warned.append)
    with pytest.raises(
        HostError, match=f"host gpu-1: does not answer. If it is gone for good, .*{VARIABLE}=1"
    ):
        may_forget({"name": "gpu-1", "ephemeral": False}, error, warned.append)
    assert warned == []
    monkeypatch.setenv(VARIABLE, "1")
    may_forget({"name": "gpu-1", "ephemeral": False}, error, warned.append)
    assert warned == ["does not answer: forgotten, whatever stands there stays there"]
