"""Around a stack: Pulumi's environment, locks of killed runs, and the endpoint's address."""

import json
import stat
from pathlib import Path

import pytest

from support.traces import ROOT
from tools.stack import completion
from tools.stack.completion import Endpoint, base_url
from tools.stack.crash import Lock, is_plugin, parse_lock
from tools.stack.environment import Layout, additions, is_logged_in, write_passphrase
from tools.stack.errors import StackError
from tools.stack.parts import needed_parts
from tools.stack.verbs import next_steps

LAYOUT = Layout(repo=Path("/repo"), pulumi_bin=Path("/cache/pulumi/bin"), state=Path("/state"))


def test_by_default_the_state_is_a_folder_of_this_computer_with_a_generated_passphrase() -> None:
    assert additions({"PATH": "/usr/bin"}, LAYOUT, logged_in=False) == {
        "PATH": "/cache/pulumi/bin:/repo/.venv/bin:/usr/bin",
        "VIRTUAL_ENV": "/repo/.venv",
        "PULUMI_PYTHON_CMD": "/repo/.venv/bin/python",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_BACKEND_URL": "file:///state/pulumi",
        "PULUMI_CONFIG_PASSPHRASE_FILE": "/state/passphrase",
    }


@pytest.mark.parametrize(
    ("given", "logged_in", "absent"),
    [
        ({}, True, "PULUMI_BACKEND_URL"),
        ({"PULUMI_BACKEND_URL": "s3://bucket"}, False, "PULUMI_BACKEND_URL"),
        ({"PULUMI_CONFIG_PASSPHRASE": ""}, False, "PULUMI_CONFIG_PASSPHRASE_FILE"),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/mine"}, False, "PULUMI_CONFIG_PASSPHRASE_FILE"),
        ({"PULUMI_SKIP_UPDATE_CHECK": "false"}, False, "PULUMI_SKIP_UPDATE_CHECK"),
    ],
)
def test_what_the_operator_has_chosen_is_left_alone(
    given: dict[str, str], logged_in: bool, absent: str
) -> None:
    assert absent not in additions(given, LAYOUT, logged_in=logged_in)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"current": "https://api.example.org"}', True),
        ('{"current": ""}', False),
        ("{}", False),
        ("[]", False),
        ('{"curr', False),
        (None, False),
    ],
)
def test_a_login_is_what_pulumis_own_file_says(tmp_path: Path, text: str | None, expected: bool) -> None:
    if text is not None:
        (tmp_path / "credentials.json").write_text(text)
    assert is_logged_in({"PULUMI_HOME": str(tmp_path)}) is expected


def test_a_passphrase_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "state" / "passphrase"
    write_passphrase(file)
    first = file.read_text()
    write_passphrase(file)
    assert file.read_text() == first
    assert len(first) >= 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("hostname", "program", "stale"),
    [
        ("here", "", True),
        ("here", "bash", True),
        ("here", "pulumi", False),
        ("elsewhere", "", False),
    ],
)
def test_a_lock_is_stale_when_its_holder_is_known_to_be_gone(
    hostname: str, program: str, stale: bool
) -> None:
    lock = Lock(pid=7, hostname=hostname, username="ops", timestamp="2026-11-22T21:36:39Z")
    assert lock.is_stale("here", lambda pid: program if pid == 7 else "other") is stale


def test_a_lock_file_is_read_as_pulumi_writes_it() -> None:
    content = {"pid": 11645, "username": "root", "hostname": "vm", "timestamp": "2026-11-22T21:36:39.7Z"}
    assert parse_lock(json.dumps(content)) == Lock(11645, "vm", "root", "2026-11-22T21:36:39.7Z")
    assert parse_lock('{"pid": 116') is None
    assert parse_lock("{}") is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/cache/pulumi/bin/pulumi-language-python", "127.0.0.1:1"], True),
        (["/bin/sh", "/repo/provisioning/pulumi-resource-fleet", "127.0.0.1:1"], True),
        (["/repo/.venv/bin/python", "-m", "provisioning.provider", "127.0.0.1:1"], True),
        (["systemd-nspawn", "--machine=stage1-node-1"], False),
        (["sh", "-c", "while :; do systemd-nspawn; done"], False),
        (["pulumi", "up"], False),
    ],
)
def test_plugins_are_told_from_the_lab_nodes_that_they_started(words: list[str], expected: bool) -> None:
    assert is_plugin(words) is expected


@pytest.mark.parametrize(
    "endpoint", ["http://a:8080", "http://a:8080/", "http://a:8080/v1", "http://a:8080/v1/"]
)
def test_the_endpoint_is_asked_under_v1_however_it_is_written(endpoint: str) -> None:
    assert base_url(endpoint) == "http://a:8080/v1"


def test_an_endpoint_that_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [
        completion.Unavailable("refused", 1),
        completion.Unavailable("502", 1),
        None,
    ]

    def call(endpoint: Endpoint, path: str) -> None:
        assert (endpoint.url, path) == ("http://a", "/models")
        if (answer := answers.pop(0)) is not None:
            raise answer

    said: list[str] = []
    monkeypatch.setattr(completion, "_call", call)
    monkeypatch.setattr(completion, "RETRY_INTERVAL_S", 0)
    completion.wait_until_available(Endpoint("http://a", "key"), said.append)
    assert not answers
    assert len(said) == 1


@pytest.mark.parametrize(
    ("ca_file", "asked"),
    [
        (None, "    curl http://a/v1/chat"),
        (
            Path("/state/agents/shop/fleet-ca.crt"),
            "    curl --cacert /state/agents/shop/fleet-ca.crt http://a/v1/chat",
        ),
    ],
)
def test_what_to_do_next_begins_with_a_question_that_checks_the_certificate(
    ca_file: Path | None, asked: str
) -> None:
    steps = next_steps("shop", "http://a", "agent", ca_file)
    assert asked in steps
    assert ("make env STACK=shop" in steps) is bool(ca_file)


def test_a_refused_key_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(endpoint: Endpoint, path: str) -> None:
        raise StackError(f"{endpoint.url}{path} answered 401", 1)

    monkeypatch.setattr(completion, "_call", call)
    with pytest.raises(StackError, match="answered 401"):
        completion.wait_until_available(Endpoint("http://a", "wrong"), print)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("tests/golden/specs/litellm.fleet.yaml", ("litellm",)),
        ("stacks/stage2.fleet.yaml", ()),
        ("stacks/production.fleet.yaml", ()),
        ("stacks/there-is-none.fleet.yaml", ()),
    ],
)
def test_only_a_lab_stack_behind_litellm_waits_for_its_packages(spec: str, parts: tuple[str, ...]) -> None:
    assert needed_parts(ROOT / spec) == parts
