"""What can stand before the replicas of one pool on a node: the fleet's own gateway, and what it is held against.

All are set for long streams of tokens: no buffering, long time-outs, connections to the replicas kept open. Each runs
on the node's own address, so that one measurement can go from one to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

LITELLM_CACHED = "ready/litellm"
LITELLM_BIND = "/opt/agentfleet/litellm"
LITELLM_DEPLOYMENT = """\
  - model_name: stand-in
    litellm_params: {{model: openai/stand-in, api_base: "http://{server}/v1", api_key: unused}}
"""
LITELLM_START = """
cat >{folder}/litellm.yaml
export LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true LITELLM_LOCAL_MODEL_COST_MAP=true
setsid {bind}/bin/python {bind}/bin/litellm --config {folder}/litellm.yaml --port {port} \\
    >{folder}/litellm.log 2>&1 </dev/null &
echo $! >{folder}/litellm.pid
curl -fsS --retry 90 --retry-delay 1 --retry-all-errors -o {folder}/alive \\
    http://127.0.0.1:{port}/health/liveliness 2>&1 ||
    {{ tail {folder}/litellm.log; exit 1; }}
"""

COST_OF = """
main=$(cat %s)
all="$main $(pgrep -P $main)"
for pid in $all; do cat /proc/$pid/smaps_rollup; done |
    awk '/^Pss_(Anon|File):/ {own += $2} /^Pss_Shmem:/ {zones += $2} END {print own, zones}'
for pid in $all; do cat /proc/$pid/stat; done | sed 's/.*) //' | awk '{ticks += $12 + $13} END {print ticks}'
"""
TICKS_PER_S = 100
NICE = -10
MANY_FILES = "ulimit -n $(ulimit -Hn)"


@dataclass(frozen=True)
class Cost:
    """What all processes of a candidate hold, pages that they share counted once, and what they have used so far.

    `zones_bytes` is what was written so far of nginx's shared zones, which hold sessions and counters; each has a fixed
    size, so it can only grow up to that.
    """

    memory_bytes: int
    zones_bytes: int
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
            return Cost(0, 0, 0.0)
        own_kib, zones_kib, ticks = map(int, node.sh(COST_OF % self.pid_file).split())
        return Cost(own_kib << 10, zones_kib << 10, ticks / TICKS_PER_S)


def prefer(node: StartedNode, candidate: Candidate) -> None:
    """Gives it the priority that our own programs have, so that other work of this computer is no gateway's delay."""
    if candidate.pid_file:
        node.sh(f"renice -n {NICE} -p $(cat {candidate.pid_file}) $(pgrep -P $(cat {candidate.pid_file}))")


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


def litellm_binds() -> dict[str, str]:
    """What a lab node must be shown for LiteLLM: its environment in the cache, nothing where there is none."""
    there = (cache_dir() / LITELLM_CACHED / "bin" / "litellm").exists()
    return {LITELLM_BIND: LITELLM_CACHED} if there else {}


def start_litellm(node: StartedNode, host: str, port: int, servers: Sequence[str]) -> Candidate:
    """LiteLLM's proxy, each replica a deployment; one worker as by default, no database, no keys to check."""
    deployments = "".join(LITELLM_DEPLOYMENT.format(server=server) for server in servers)
    script = LITELLM_START.format(folder=FOLDER, bind=LITELLM_BIND, port=port)
    node.sh(script, stdin=f"model_list:\n{deployments}")
    return Candidate("litellm", f"{host}:{port}", f"{FOLDER}/litellm.pid")
