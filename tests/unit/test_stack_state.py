"""The verbs around agent state: generated secrets, agents.env, and data that goes only by the stack's name."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from infra.plan.authority import CA_SECRET
from infra.plan.state import AGENT_SECRET
from provisioning.converge.data import VARIABLE
from support.stand_in_stack import StandIn
from tools.stack.agents import forget_agents_env, write_agents_env
from tools.stack.data import data_services, permission
from tools.stack.errors import StackError
from tools.stack.generated import generated_secrets, new_secret
from tools.stack.trust import bundle, ca_certificate, fleet_context

SPEC = """
name: small
workload: {topology: flat, agents: 1, workflows: 1, context_tokens: 2048}
models: {agent: {config: tiny-llama, weights: {generated: tiny-llama}}}
pools: {agents: {model: agent, role: agent}}
nodes: {source: lab}
"""
ENV = "KEY='${secret:apiKey}'\nURL='valkeys://agent:${secret:stateAgentPassword}@h/0?ssl_ca_certs=${folder}/fleet-ca.crt'\n"


def state_with(**outputs: Any) -> dict[str, Any]:
    service = {
        "type": "fleet:index:Service",
        "outputs": {"name": "state", "connection": {"name": "node-1"}, **outputs},
    }
    other = {"type": "fleet:index:Host", "outputs": {"name": "node-1"}}
    return {"deployment": {"resources": [{"type": "pulumi:pulumi:Stack"}, other, service]}}


HELD = state_with(data_folders=["/var/lib/x"])


def test_services_that_hold_data_are_known_from_the_state() -> None:
    assert data_services(json.dumps(HELD)) == ("state on node-1",)
    assert data_services(json.dumps(state_with())) == ()
    assert data_services('{"deployment": {}}') == ()


@pytest.mark.parametrize("word", ["", "shop2", "yes"])
def test_data_stays_without_the_stacks_name(word: str) -> None:
    with pytest.raises(
        StackError, match="shop keeps data in state on node-1: nothing was touched"
    ) as refused:
        permission(StandIn({}, state=HELD), word, at_terminal=False)
    assert refused.value.exit_code == 2
    assert "make down STACK=shop DELETE_DATA=shop" in str(refused.value)


def test_the_stacks_name_lets_its_data_go() -> None:
    assert permission(StandIn({}, state=HELD), "shop") == {VARIABLE: "shop"}


def test_at_a_terminal_the_name_is_asked_for() -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return " shop\n"

    assert permission(StandIn({}, state=HELD), "", at_terminal=True, ask=answer) == {VARIABLE: "shop"}
    assert asked == ["shop keeps data in state on node-1, which goes for good. Type shop to delete it: "]


def test_nothing_is_asked_of_a_stack_without_data() -> None:
    assert permission(StandIn({}, state=state_with()), "", at_terminal=True) == {}


def test_a_stack_has_generated_what_its_spec_asks_for(tmp_path: Path) -> None:
    spec = tmp_path / "x.fleet.yaml"
    spec.write_text(SPEC)
    assert generated_secrets(spec) == ("apiKey",)
    spec.write_text(SPEC + "state: {kind: redis}\n")
    assert {"apiKey", AGENT_SECRET, CA_SECRET} < {*generated_secrets(spec)}
    spec.write_text(SPEC + "gateway: {kind: nginx, tls: {kind: generated}}\n")
    assert generated_secrets(spec) == ("apiKey", CA_SECRET)
    spec.write_text("nonsense")
    assert generated_secrets(spec) == ("apiKey",)


def test_generated_values_are_long_differ_and_suit_a_url() -> None:
    one, other = new_secret(AGENT_SECRET), new_secret(AGENT_SECRET)
    assert one != other
    assert len(one) >= 43
    assert set(one) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_the_cas_certificate_is_of_its_key_and_for_signing_alone() -> None:
    made = x509.load_pem_x509_certificate(
        ca_certificate(new_secret(CA_SECRET), "agentfleet shop CA").encode()
    )
    assert made.subject == made.issuer
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    made.verify_directly_issued_by(made)


def test_agents_env_holds_its_secrets_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    settings = {"apiKey": "k", AGENT_SECRET: "p&s/w", CA_SECRET: new_secret(CA_SECRET)}
    stack = StandIn({"agents_env": ENV, "fleet": "shop"}, settings)
    for _ in range(2):
        path = write_agents_env(stack, tmp_path / "agents")
    assert path.read_text() == (
        f"KEY='k'\nURL='valkeys://agent:p%26s%2Fw@h/0?ssl_ca_certs={tmp_path}/agents/fleet-ca.crt'\n"
    )
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    forget_agents_env(path.parent)
    assert not path.parent.exists()


BUNDLE_ENV = "SSL_CERT_FILE='${folder}/ca-bundle.crt'\n"


def test_agents_of_a_gateway_with_the_fleets_certificate_get_the_systems_cas_and_its_own(
    tmp_path: Path,
) -> None:
    ca = ca_certificate(new_secret(CA_SECRET), "agentfleet shop CA")
    (tmp_path / "system.crt").write_text("public CAs\n\n")
    lists = tmp_path / "none.crt", tmp_path / "system.crt", tmp_path
    assert bundle(ca, lists) == f"public CAs\n{ca}"
    with pytest.raises(StackError, match=r"no list of public CAs \(.*none.crt\): install ca-certificates"):
        bundle(ca, lists[:1])
    stack = StandIn({"agents_env": BUNDLE_ENV, "fleet": "shop"}, {CA_SECRET: new_secret(CA_SECRET)})
    folder = write_agents_env(stack, tmp_path / "agents").parent
    assert (folder / "ca-bundle.crt").read_text().endswith((folder / "fleet-ca.crt").read_text())
    assert ssl.create_default_context(cafile=folder / "ca-bundle.crt").cert_store_stats()["x509_ca"] > 20
    forget_agents_env(folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BUNDLE_ENV, "shop has no caKey, the key of its own CA: `make up STACK=shop` makes it"),
        (
            "CA='${folder}/old.crt'\n",
            "another version of agentfleet, whose agents.env names old.crt: `make up",
        ),
    ],
)
def test_an_agents_env_whose_files_cannot_be_written_is_not_written_either(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(StackError, match=sentence):
        write_agents_env(StandIn({"agents_env": text, "fleet": "shop"}), tmp_path / "agents")
    assert not (tmp_path / "agents").exists()


def test_the_question_after_up_trusts_the_fleets_ca_alone_where_the_gateway_shows_it() -> None:
    stack = StandIn({"fleet": "shop"}, {CA_SECRET: new_secret(CA_SECRET)})
    trust = fleet_context(stack, {"inventory": {"gateway": {"ca": "/opt/ca.crt"}}})
    assert trust
    assert [dict(ca["subject"][0])["commonName"] for ca in trust.get_ca_certs()] == ["agentfleet shop CA"]
    for gateway in ({"ca": ""}, {}, None):
        assert fleet_context(stack, {"inventory": {"gateway": gateway}}) is None


def test_what_agents_keep_beside_agents_env_stays(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    write_agents_env(StandIn({"agents_env": "DIR='${folder}/crewai'\n", "fleet": "shop"}), folder)
    (folder / "crewai" / "memory").write_text("x")
    forget_agents_env(folder)
    assert [path.name for path in folder.rglob("*")] == ["crewai", "memory"]


def test_a_stack_that_is_not_up_has_no_agents_env(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="shop is not up yet"):
        write_agents_env(StandIn({}), tmp_path)
