"""What can stand before the replicas of one pool on a node: the fleet's own gateway, and what it is held against.

All are set for long streams of tokens: no buffering, long time-outs, connections to the replicas kept open. Each runs
on the node's own address, so that one measurement can go from one to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.places import cache_dir
from support.lab_stacks import StartedNode

FOLDER = "/tmp/bench"

NGINX = """\
worker_processes auto; pid {folder}/{name}.pid; error_log {folder}/{name}.log error;
events {{ worker_connections 16384; }}
http {{
    access_log off; client_max_body_size 32m; client_body_buffer_size 1m;
    upstream replicas {{ {balance} {servers} keepalive 512; }}
    server {{
        listen 0.0.0.0:{port} backlog=4096;
        location / {{
            proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_read_timeout 3600s; proxy_next_upstream off;
            add_header X-Fleet-Replica $upstream_addr always;
        }}
    }}
}}
"""

HAPROXY = """\
global
    maxconn 4000
    pidfile {folder}/{name}.pid
defaults
    mode http
    timeout connect 5s
    timeout client 3600s
    timeout server 3600s
    option http-no-delay
    http-reuse safe
frontend clients
    bind 0.0.0.0:{port} backlog 4096
    default_backend replicas
backend replicas
    balance hdr(X-Session-Id)
    hash-type consistent
    hash-balance-factor 125
    http-response set-header X-Fleet-Replica %s
"""

LITELLM_DEPLOYMENT = """\
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "http://{server}/v1", api_key: {key}}}
"""

COST_OF = """
main=$(cat %s)
all="$main $(pgrep -P $main)"
for pid in $all; do cat /proc/$pid/smaps_rollup; done | awk '/^Pss:/ {kib += $2} END {print kib}'
for pid in $all; do cat /proc/$pid/stat; done | sed 's/.*) //' | awk '{ticks += $12 + $13} END {print ticks}'
"""
TICKS_PER_S = 100
MANY_FILES = "ulimit -n $(ulimit -Hn)"


@dataclass(frozen=True)
class Cost:
    """What all processes of a candidate hold, shared pages counted once, and what they have used so far."""

    memory_bytes: int
    cpu_s: float


@dataclass(frozen=True)
class Candidate:
    """A running gateway: where its clients reach it and the file with its first process; none for direct."""

    name: str
    address: str
    pid_file: str = ""

    def cost(self, node: StartedNode) -> Cost:
        """Its memory now and its time so far."""
        if not self.pid_file:
            return Cost(0, 0.0)
        kib, ticks = node.sh(COST_OF % self.pid_file).split()
        return Cost(int(kib) << 10, int(ticks) / TICKS_PER_S)


def install(node: StartedNode) -> None:
    """The distribution's nginx and HAProxy, without their own services."""
    node.sh(
        "apt-get -qq update && apt-get -qq install -y nginx-light haproxy >/dev/null 2>&1; "
        f"systemctl disable --quiet --now nginx haproxy; mkdir -p {FOLDER}"
    )


def start_hashing(node: StartedNode, host: str, port: int, servers: Sequence[str]) -> Candidate:
    """nginx's own `hash … consistent`: nothing but the ring, blind to load."""
    return _start_nginx(node, "pure-hashing", "hash $http_x_session_id consistent;", (host, port), servers)


def start_round_robin(node: StartedNode, host: str, port: int, servers: Sequence[str]) -> Candidate:
    """nginx that deals requests out in turn, all its processes together."""
    return _start_nginx(node, "round-robin", "zone replicas 64k;", (host, port), servers)


def _start_nginx(
    node: StartedNode, name: str, balance: str, at: tuple[str, int], servers: Sequence[str]
) -> Candidate:
    host, port = at
    listed = " ".join(f"server {server} max_fails=0;" for server in servers)
    text = NGINX.format(folder=FOLDER, name=name, balance=balance, servers=listed, port=port)
    node.sh(f"cat >{FOLDER}/{name}.conf && {MANY_FILES} && nginx -c {FOLDER}/{name}.conf", stdin=text)
    return Candidate(name, f"{host}:{port}", f"{FOLDER}/{name}.pid")


def start_haproxy(node: StartedNode, host: str, port: int, servers: Sequence[str]) -> Candidate:
    """HAProxy's consistent hash with bounded load, as hash-balance-factor sets it."""
    text = HAPROXY.format(folder=FOLDER, name="haproxy", port=port)
    text += "".join(f"    server replica-{n} {server}\n" for n, server in enumerate(servers))
    node.sh(f"cat >{FOLDER}/haproxy.cfg && {MANY_FILES} && haproxy -D -f {FOLDER}/haproxy.cfg", stdin=text)
    return Candidate("haproxy", f"{host}:{port}", f"{FOLDER}/haproxy.pid")


def litellm_folder() -> Path | None:
    """LiteLLM's environment in the cache, where the set-up has brought one."""
    folder = cache_dir() / "ready" / "litellm"
    return folder if (folder / "bin" / "litellm").exists() else None
