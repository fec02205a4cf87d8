"""nginx's ring: known choices of a real nginx, and what must hold for every ring."""

from __future__ import annotations

import zlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.affinity import build_ring, session_keys
from infra.affinity.ring import POINTS_PER_WEIGHT

ARTICLE = dict.fromkeys(("10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"), 1)

SERVERS = st.dictionaries(
    st.builds("10.0.{}.{}:{}".format, st.integers(0, 255), st.integers(0, 255), st.integers(1, 65535)),
    st.integers(1, 4),
    min_size=1,
    max_size=8,
)
KEYS = st.lists(st.text(min_size=1), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        ("10.0.0.1:8000", b"10.0.0.1\x008000"),
        ("gpu-1.example:80", b"gpu-1.example\x0080"),
        ("gpu-1.example", b"gpu-1.example\x00"),
        ("[2001:db8::1]:8000", b"[2001:db8::1]\x008000"),
        ("[2001:db8::1]", b"[2001:db8::1]\x00"),
        ("unix:/run/vllm.sock", b"/run/vllm.sock\x00"),
        ("UNIX:/run/vllm:8000", b"/run/vllm:8000\x00"),
    ],
)
def test_the_first_point_is_the_checksum_of_host_port_and_four_zeros(name: str, hashed: bytes) -> None:
    assert zlib.crc32(hashed + bytes(4)) in build_ring({name: 1}).points


def test_each_point_is_made_from_the_one_before_it() -> None:
    first = zlib.crc32(b"10.0.0.1\x008000" + bytes(4))
    second = zlib.crc32(b"10.0.0.1\x008000" + first.to_bytes(4, "little"))
    assert second in build_ring({"10.0.0.1:8000": 1}).points


def test_a_server_has_160_points_for_each_unit_of_weight() -> None:
    ring = build_ring({"10.0.0.1:8000": 1, "10.0.0.2:8000": 3})
    assert Counter(ring.owners) == {0: POINTS_PER_WEIGHT, 1: 3 * POINTS_PER_WEIGHT}
    assert list(ring.points) == sorted(set(ring.points))


@pytest.mark.parametrize(
    ("key", "server"),
    [
        ("cfcd208495d565ef66e7dff9f98764da", "127.0.1.1:8000"),
        ("c4ca4238a0b923820dcc509a6f75849b", "127.0.1.1:8000"),
        ("c81e728d9d4c2f636f067f89cc14862c", "127.0.1.3:8000"),
        ("eccbc87e4b5ce2fe28308fd9f2a7baf3", "127.0.1.2:8000"),
    ],
)
def test_keys_go_where_a_real_nginx_sent_them(key: str, server: str) -> None:
    ring = build_ring(dict.fromkeys(("127.0.1.1:8000", "127.0.1.2:8000", "127.0.1.3:8000"), 1))
    assert ring.server_of(key) == server


def test_the_articles_three_servers_share_unevenly() -> None:
    assert [round(share * 3, 2) for share in build_ring(ARTICLE).shares()] == [0.85, 1.12, 1.02]


@given(SERVERS)
def test_shares_add_up_to_the_whole_circle(servers: dict[str, int]) -> None:
    shares = build_ring(servers).shares()
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    assert all(share > 0 for share in shares)


@settings(max_examples=20, deadline=None)
@given(SERVERS)
def test_a_share_is_where_random_keys_go(servers: dict[str, int]) -> None:
    ring = build_ring(servers)
    counts = Counter(map(ring.server_of, session_keys(2000)))
    for server, share in zip(ring.servers, ring.shares(), strict=True):
        assert counts[server] / 2000 == pytest.approx(share, abs=6 * (share * (1 - share) / 2000) ** 0.5)


@given(SERVERS, KEYS)
def test_a_walk_meets_every_server_once_and_its_own_first(servers: dict[str, int], keys: list[str]) -> None:
    ring = build_ring(servers)
    for key in keys:
        walk = list(ring.walk(key))
        assert sorted(walk) == sorted(servers)
        assert walk[0] == ring.server_of(key)


@settings(deadline=None)
@given(SERVERS.filter(lambda servers: len(servers) > 1), KEYS, st.data())
def test_a_server_that_goes_takes_only_its_own_sessions_along(
    servers: dict[str, int], keys: list[str], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(servers)))
    before = build_ring(servers)
    after = build_ring({name: weight for name, weight in servers.items() if name != gone})
    for key in keys:
        if before.server_of(key) != gone:
            assert after.server_of(key) == before.server_of(key)
        else:
            assert after.server_of(key) == list(before.walk(key))[1]
