"""nginx's consistent hash ring: which server of an upstream a session key goes to, exactly.

`hash KEY consistent` (ngx_http_upstream_hash_module; 1.22.1 is compared key by key in tests/node/test_nginx_ring.py)
puts 160 points per unit of weight on a circle of 2^32. A server's points are a chain: each is the CRC-32 of the host, a
zero byte, the port and the point before it (four bytes, little-endian, zero at first). A key belongs to the first point
at or above its own CRC-32, and past the last point to the first one.

The ring is made of the names as they stand in the configuration. A replica that moves to another port or is written as
a host name takes other sessions than before.
"""

from __future__ import annotations

import bisect
import itertools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

POINTS_PER_WEIGHT = 160
"""Points of a server of weight 1; a constant of nginx's source."""

_CIRCLE = 1 << 32


@dataclass(frozen=True)
class Ring:
    """Points in ascending order, each with the index of the server that owns it and the keys up to it."""

    servers: tuple[str, ...]
    points: tuple[int, ...]
    owners: tuple[int, ...]

    def server_of(self, session_key: str) -> str:
        """The server that gets every request with this key while it is up.

        The key is what the hash expression gives, a header's value for instance. An empty one never meets the ring:
        nginx then deals requests out in turn.
        """
        return next(self.walk(session_key))

    def walk(self, session_key: str) -> Iterator[str]:
        """Servers in the order in which nginx tries them, a server once: the next where one is down or at max_conns."""
        first = bisect.bisect_left(self.points, zlib.crc32(session_key.encode()))
        seen: set[int] = set()
        for index in itertools.chain(range(first, len(self.owners)), range(first)):
            owner = self.owners[index]
            if owner not in seen:
                seen.add(owner)
                yield self.servers[owner]

    def shares(self) -> tuple[float, ...]:
        """Each server's share of all possible keys: the arcs that end in its points. They add up to 1."""
        arcs = [0] * len(self.servers)
        before = self.points[-1] - _CIRCLE
        for point, owner in zip(self.points, self.owners, strict=True):
            arcs[owner] += point - before
            before = point
        return tuple(arc / _CIRCLE for arc in arcs)


def build_ring(servers: Mapping[str, int]) -> Ring:
    """The ring of the servers of one upstream: name as in the configuration (`10.0.0.1:8000`) to weight.

    Of two servers that share a point the one named first keeps it.
    """
    owner_by_point: dict[int, int] = {}
    for index, (name, weight) in enumerate(servers.items()):
        start, point = _start(name), 0
        for _ in range(weight * POINTS_PER_WEIGHT):
            point = zlib.crc32(point.to_bytes(4, "little"), start)
            owner_by_point.setdefault(point, index)
    points = sorted(owner_by_point)
    return Ring(tuple(servers), tuple(points), tuple(owner_by_point[point] for point in points))


def _start(name: str) -> int:
    """CRC-32 of what all points of a server begin with: host, zero byte, port; a socket's path stands for the host."""
    if name[:5].lower() == "unix:":
        return zlib.crc32(name[5:].encode() + b"\0")
    host, colon, port = name.rpartition(":")
    if colon and all(digit in "0123456789" for digit in port):
        return zlib.crc32(f"{host}\0{port}".encode())
    return zlib.crc32(f"{name}\0".encode())
