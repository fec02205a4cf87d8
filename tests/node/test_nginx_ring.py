"""The ring of infra/affinity against a real nginx on a lab node: the same servers in the same order for every key."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from infra.affinity import build_ring, session_keys
from support.lab_stacks import StartedNode

KEYS = (*session_keys(300), *(f"user-{number}" for number in range(100)))

UPSTREAMS = {
    18001: dict.fromkeys(("10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"), 1),
    18002: {"10.0.0.1:8000": 1, "10.0.0.1:8001": 3, "10.0.0.2:8000": 2, "10.0.0.3:8000": 1},
    18003: {"unix:/tmp/nobody.sock": 1, "[::1]:8000": 2, "10.0.0.3:8080": 1},
}
"""By the port that leads to them. Nobody listens at any of these servers, so /walk tries all, /once the first alone."""

CONFIG = """
pid /tmp/ring/pid; error_log /tmp/ring/log emerg; events {} http { access_log off; %s }
"""
UPSTREAM = """
upstream pool_%(port)d { hash $http_x_session_id consistent; %(servers)s }
server { listen 127.0.0.1:%(port)d; add_header X-Tried $upstream_addr always;
    location /walk { proxy_pass http://pool_%(port)d; }
    location /once { proxy_pass http://pool_%(port)d; proxy_next_upstream off; } }
"""

ASK = """
import http.client, json, sys
client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
tried = []
for key in json.load(sys.stdin):
    client.request("GET", sys.argv[2], headers={"X-Session-Id": key} if key else {})
    answer = client.getresponse()
    answer.read()
    tried.append(answer.getheader("X-Tried").split(", "))
print(json.dumps(tried))
"""


@pytest.fixture
def nginx(lab_node: StartedNode) -> StartedNode:
    """A node whose nginx stands in front of addresses that refuse every connection."""
    blocks = "".join(
        UPSTREAM % {"port": port, "servers": _servers(names)} for port, names in UPSTREAMS.items()
    )
    lab_node.sh("apt-get -qq update && apt-get -qq install -y nginx-light")
    lab_node.sh("for i in 1 2 3; do ip address add 10.0.0.$i/32 dev lo; done; mkdir /tmp/ring")
    lab_node.sh(f"cat >/tmp/ring/ask.py <<'END'\n{ASK}\nEND")
    lab_node.sh(f"cat >/tmp/ring/nginx.conf <<'END'\n{CONFIG % blocks}\nEND\nnginx -c /tmp/ring/nginx.conf")
    return lab_node


def _servers(names: dict[str, int]) -> str:
    return " ".join(f"server {name} weight={weight} max_fails=0;" for name, weight in names.items())


def tried(node: StartedNode, port: int, place: str, keys: tuple[str, ...]) -> list[list[str]]:
    """The servers that nginx tried for each key."""
    said = node.sh(f"python3 /tmp/ring/ask.py {port} {place} <<'END'\n{json.dumps(keys)}\nEND")
    answer: list[list[str]] = json.loads(said)
    return answer


def test_nginx_tries_the_servers_that_the_ring_says_in_its_order(nginx: StartedNode) -> None:
    for port, servers in UPSTREAMS.items():
        ring = build_ring(servers)
        assert tried(nginx, port, "/walk", KEYS) == [list(ring.walk(key)) for key in KEYS]
        assert tried(nginx, port, "/once", KEYS) == [[ring.server_of(key)] for key in KEYS]


def test_nginx_deals_requests_without_a_key_out_in_turn(nginx: StartedNode) -> None:
    counts = Counter(first for (first,) in tried(nginx, 18001, "/once", ("",) * 30))
    assert counts == dict.fromkeys(UPSTREAMS[18001], 10)
