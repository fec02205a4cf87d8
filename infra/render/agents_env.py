"""agents.env: what agents need to know of a fleet, ready for systemd, a shell or whatever reads .env files."""

from __future__ import annotations

from collections.abc import Iterator

from infra.plan.fleet_plan import FleetPlan, Setting
from infra.plan.state import AGENT_SECRET, PRIMARY, StateMember, StatePlan
from infra.render.templates import template_text

FOLDER = "${folder}"
"""The place of the folder in which agents.env will stand, known where it is written."""

CA_FILE = "fleet-ca.crt"
BUNDLE_FILE = "ca-bundle.crt"
"""The CAs that everybody trusts and the fleet's own: a variable that names a list replaces the one before it."""

_TIMEOUTS = "socket_timeout=5&socket_connect_timeout=5&health_check_interval=30"
"""In the URL, because LangGraph's savers and CrewAI build their connections from it and drop other arguments."""


def agents_env(plan: FleetPlan) -> str:
    """The file's text, with places for its folder and, as in every rendered text, for secrets."""
    settings = [*_models(plan), *(_state(plan.state) if plan.state else ())]
    return template_text("agents/agents.env.j2", fleet=plan.name, settings=settings)


def _models(plan: FleetPlan) -> Iterator[Setting]:
    yield Setting("OPENAI_BASE_URL", plan.endpoint, "Every OpenAI client asks the fleet.")
    yield Setting("OPENAI_API_KEY", "${secret:apiKey}", "The fleet's own key.")
    if plan.gateway and plan.gateway.ca:
        bundle, reason = f"{FOLDER}/{BUNDLE_FILE}", "Public CAs and the fleet's own, which the endpoint shows"
        yield Setting(
            "SSL_CERT_FILE", bundle, f"{reason}: for httpx, aiohttp, curl and whatever asks OpenSSL."
        )
        yield Setting("REQUESTS_CA_BUNDLE", bundle, f"{reason}: for requests.")
        yield Setting(
            "NODE_EXTRA_CA_CERTS", f"{FOLDER}/{CA_FILE}", "The fleet's own CA: Node adds it to its list."
        )
    front = plan.gateway.front_pool if plan.gateway else plan.pools[0].name
    served = next(replica.served_name for replica in plan.replicas if replica.pool == front)
    yield Setting("AGENTFLEET_MODEL", served, f"What to write as model, for the pool {front}.")
    if plan.gateway:
        reason = "The header that names a session, so that it stays with its KV cache."
        yield Setting("AGENTFLEET_SESSION_HEADER", plan.gateway.session_header, reason)


def _state(state: StatePlan) -> Iterator[Setting]:
    first = state.members[0]
    yield Setting("REDIS_URL", _url(state, first, "redis"), "For redis-py, RedisSaver and CrewAI's locks.")
    yield Setting("VALKEY_URL", _url(state, first, "valkey"), "For valkey-py and ValkeySaver.")
    if state.sentinel_port:
        asked = ",".join(f"{member.address}:{state.sentinel_port}" for member in state.members)
        yield Setting("AGENTFLEET_STATE_SENTINELS", asked, "Who knows which server is the primary now.")
        yield Setting("AGENTFLEET_STATE_PRIMARY", PRIMARY, "What they call it.")
    yield Setting("AGENTFLEET_STATE_SAVER", state.saver, "The LangGraph saver that the store was sized for.")
    yield Setting("AGENTFLEET_STATE_DURABILITY", state.durability, "LangGraph's durability, likewise.")
    yield Setting("AGENTFLEET_STATE_TTL_S", str(state.ttl_s), "How long a silent session is kept.")
    reason = "CrewAI's memory and outputs are files of this machine: keep them on a disk that lasts."
    yield Setting("CREWAI_STORAGE_DIR", f"{FOLDER}/crewai", reason)


def _url(state: StatePlan, member: StateMember, scheme: str) -> str:
    secure = f"ssl_ca_certs={FOLDER}/{CA_FILE}&" if state.tls else ""
    scheme = f"{scheme}s" if state.tls else scheme
    password = f"${{secret:{AGENT_SECRET}}}"
    return f"{scheme}://agent:{password}@{member.address}:{state.port}/0?{secure}{_TIMEOUTS}"
