"""Who gets which connection, who waits and who shares a failure; the link itself is a stand-in."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from provisioning.errors import HostError, Unreachable
from provisioning.ssh import Address, Connections, connection
from provisioning.ssh.elevation import Elevation
from provisioning.ssh.hostkey import parse_host_key

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKCyThRifxvYw4l3D5/7ZAA1QT/OsoOWLxrzjWtlDmec"
_OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG6QxCxV1orPDgv190ACsBZwgzaQTqraXRlbXpBka4OB"
_GPU_1 = Address("203.0.113.7", name="gpu-1")


class _Opener:
    """Stands in for open_link: fails with the given errors first, then gives links to a machine with `_KEY`."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.pins = []
        self.links = []

    def __call__(self, address, password, pinned):  # noqa: ARG002 - the real one's
        self.pins.append(pinned)
        if self.errors:
            raise self.errors.pop(0)
        link = SimpleNamespace(host_key=pinned or parse_host_key(_KEY), elevation=Elevation(), is_alive=True)
        link.close = lambda: setattr(link, "is_alive", False)
        self.links.append(link)
        return link


@pytest.fixture
def opener(monkeypatch):
    opener = _Opener()
    monkeypatch.setattr(connection, "open_link", opener)
    return opener


def test_one_connection_for_all_who_ask_for_the_same_machine(opener):
    with Connections() as connections:
        assert connections.get(_GPU_1) is connections.get(Address("203.0.113.7", name="other name"))
    assert len(opener.links) == 1


@pytest.mark.parametrize(
    "other",
    [
        Address("203.0.113.8"),
        Address("203.0.113.7", port=2222),
        Address("203.0.113.7", user="ubuntu"),
        Address("203.0.113.7", identity_file="key"),
    ],
)
def test_another_machine_or_login_is_another_connection(opener, other):
    with Connections() as connections:
        assert connections.get(_GPU_1) is not connections.get(other)
    assert len(opener.links) == 2


def test_the_first_key_seen_is_shown_and_from_then_on_pinned(opener):
    with Connections() as connections:
        gpu_1 = connections.get(_GPU_1)
        assert gpu_1.host_key == _KEY
        opener.links[0].close()
        connections.get(_GPU_1)
    assert [pinned and str(pinned) for pinned in opener.pins] == [None, _KEY]


def test_a_pin_that_the_open_connection_satisfies_needs_no_new_one(opener):
    with Connections() as connections:
        first = connections.get(_GPU_1)
        assert connections.get(Address("203.0.113.7", host_key=_KEY)) is first
    assert len(opener.links) == 1


def test_another_pin_ends_the_connection_that_does_not_satisfy_it(opener):
    with Connections() as connections:
        first = connections.get(_GPU_1)
        second = connections.get(Address("203.0.113.7", host_key=_OTHER_KEY))
        assert second is not first
        assert [link.is_alive for link in opener.links] == [False, True]
        assert str(opener.pins[1]) == _OTHER_KEY


def test_a_host_key_that_is_none_is_refused_before_anything_is_sent(opener):
    with (
        Connections() as connections,
        pytest.raises(HostError, match="host gpu-1: its host_key is not a public key"),
    ):
        connections.get(Address("203.0.113.7", host_key="nonsense", name="gpu-1"))
    assert opener.pins == []


def test_an_unreachable_machine_is_waited_for(opener):
    opener.errors = [Unreachable("gpu-1", "is silent"), Unreachable("gpu-1", "is silent")]
    with Connections() as connections:
        assert connections.get(_GPU_1, wait_s=30).host_key == _KEY
    assert len(opener.pins) == 3


def test_waiting_ends_with_the_last_reason(opener):
    opener.errors = [Unreachable("gpu-1", f"is silent {i}") for i in range(100)]
    with Connections() as connections, pytest.raises(Unreachable, match=r"host gpu-1: is silent \d"):
        connections.get(_GPU_1, wait_s=0.001)


@pytest.mark.parametrize("wait_s", [0, 30])
def test_a_refused_login_is_not_tried_again(opener, wait_s):
    opener.errors = [HostError("gpu-1", "refuses the key")]
    with Connections() as connections, pytest.raises(HostError, match="refuses the key"):
        connections.get(_GPU_1, wait_s=wait_s)
    assert len(opener.pins) == 1


def test_a_failed_machine_can_be_asked_again(opener):
    opener.errors = [Unreachable("gpu-1", "is silent")]
    with Connections() as connections:
        with pytest.raises(Unreachable):
            connections.get(_GPU_1)
        assert connections.get(_GPU_1).host_key == _KEY


def test_threads_that_come_together_share_one_attempt_and_its_failure(monkeypatch):
    waiting, attempts = threading.Semaphore(0), []

    class CountedFuture(Future):
        def result(self, timeout=None):
            waiting.release()
            return super().result(timeout)

    def fail(*_):
        attempts.append(1)
        for _ in range(15):
            waiting.acquire(timeout=30)
        raise Unreachable("gpu-1", "is silent")

    monkeypatch.setattr(connection, "Future", CountedFuture)
    monkeypatch.setattr(connection, "open_link", fail)
    with Connections() as connections, ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(connections.get, _GPU_1) for _ in range(16)]
        messages = {str(one.exception()) for one in asked}
    assert messages == {"host gpu-1: is silent"}
    assert len(attempts) == 1


def test_after_the_end_nothing_is_opened_any_more(opener):
    connections = Connections()
    gpu_1 = connections.get(_GPU_1)
    connections.close_all()
    assert not opener.links[0].is_alive
    with pytest.raises(HostError, match="host gpu-1: its connection was closed by this program"):
        gpu_1.run(["true"])


def test_a_link_that_opens_after_the_end_is_closed(monkeypatch):
    opener, opening, closed = _Opener(), threading.Event(), threading.Event()

    def slowly(*args):
        opening.set()
        closed.wait(30)
        return opener(*args)

    monkeypatch.setattr(connection, "open_link", slowly)
    connections = Connections()
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(connections.get, _GPU_1)
        opening.wait(30)
        connections.close_all()
        closed.set()
        asked.exception()
    assert [link.is_alive for link in opener.links] == [False]
