"""The fleet spec: what is accepted, what it becomes, and what holds for every text whatsoever."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from infra.errors import SpecError
from infra.spec import (
    COUNTED_FLAGS,
    OWNED_FLAGS,
    FleetSpec,
    GeneratedModel,
    KvCacheDtype,
    load,
    parse,
    schema,
    schema_text,
)
from infra.spec.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
STACKS = sorted((ROOT / "stacks").glob("*.fleet.yaml"))
VLLM_FLAGS = Path(__file__).with_name("test_spec_vllm_0_32_0_flags.txt")

SMALL = """\
name: small
workload: {topology: flat, agents: 5, workflows: 4, context_tokens: 2048}
models:
  agent: {config: tiny-llama, weights: {generated: tiny-llama}}
pools:
  agents: {model: agent, role: agent}
nodes: {source: lab}
"""

RENTED = """\
name: rented
workload: {topology: hierarchical, agents: 4, workflows: 10, context_tokens: 4096}
models:
  big: {config: Qwen/Qwen3-32B, weights: {hub: Qwen/Qwen3-32B, revision: main}, quantization: fp8}
  small: {config: Qwen/Qwen3-8B, weights: {path: /data/qwen3-8b}}
pools:
  planner: {model: big, role: orchestrator, nodes: [gpu-2], tensor_parallel_size: 2}
  workers: {model: small, role: worker, port: 8100, replicas: 3}
nodes:
  source: ssh
  hosts:
    - &host
      name: gpu-1
      address: 203.0.113.7
      user: ubuntu
      device: H100-SXM
      devices: 4
    - <<: *host
      name: gpu-2
      address: GPU-2.example.net
engine: {extra_flags: {--max_logprobs: 5, async-scheduling: true}}
access: {clients: [198.51.100.0/24, 203.0.113.9]}
"""


def with_part(part: str) -> FleetSpec:
    """The small spec with one more line."""
    return parse(SMALL + part, "fleet.yaml")


@pytest.mark.parametrize("stack", STACKS, ids=lambda path: path.name)
def test_the_stacks_of_this_repository_are_sound(stack: Path) -> None:
    assert load(stack).name == stack.name.partition(".")[0]


def test_what_is_left_out_has_a_default() -> None:
    spec = parse(SMALL, "fleet.yaml")

    assert spec.nodes.names == ("node-1",)
    assert spec.nodes.lab is not None
    assert spec.nodes.lab.kv_cache_memory_bytes == 64 * 2**20
    assert spec.models["agent"].weights.generated is GeneratedModel.TINY_LLAMA
    assert spec.pools["agents"].port == 8000
    assert (spec.pools["agents"].replicas, spec.pools["agents"].tensor_parallel_size) == (None, None)
    assert (spec.engine.gpu_memory_utilization, spec.engine.kv_cache_dtype) == (0.90, KvCacheDtype.AUTO)


def test_anchors_and_merges_are_read() -> None:
    hosts = parse(RENTED, "fleet.yaml").nodes.hosts

    assert [(host.name, host.address, host.devices) for host in hosts] == [
        ("gpu-1", "203.0.113.7", 4),
        ("gpu-2", "gpu-2.example.net", 4),
    ]


def test_flags_are_kept_under_the_name_that_vllm_reads() -> None:
    assert parse(RENTED, "fleet.yaml").engine.extra_flags == {"max-logprobs": 5, "async-scheduling": True}


def test_a_client_address_is_a_network_of_one() -> None:
    clients = parse(RENTED, "fleet.yaml").access.clients

    assert clients == (IPv4Network("198.51.100.0/24"), IPv4Network("203.0.113.9/32"))


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [("64MiB", 64 * 2**20), ("1.5GiB", 3 * 2**29), ("2048 KiB", 2 * 2**20), ("0.5TiB", 2**39)],
)
def test_sizes_are_kept_in_bytes(written: str, size_bytes: int) -> None:
    lab = parse(
        SMALL.replace("{source: lab}", f"{{source: lab, lab: {{kv_cache_memory: {written}}}}}"), "f"
    ).nodes.lab

    assert lab is not None
    assert lab.kv_cache_memory_bytes == size_bytes


@pytest.mark.parametrize(
    "written", ["no", "on", "0123", "1_000", "2026-11-22", "1:30", "'5'", '"true"', "0x1F"]
)
def test_words_that_yaml_readers_disagree_about_stay_text(written: str) -> None:
    spec = parse(
        SMALL.replace(
            "config: tiny-llama, weights: {generated: tiny-llama}",
            f"config: {written}, weights: {{path: /m}}",
        ),
        "f",
    )

    assert spec.models["agent"].config == written.strip("'\"")


def test_a_host_key_is_kept_without_its_comment() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILr8pOVdeS7l5dXPgKpxDcXukaKBilVdDsSbAgewM4jM"
    spec = parse(RENTED.replace("devices: 4\n", f"devices: 4\n      host_key: {key} root@gpu-1\n", 1), "f")

    assert {host.host_key for host in spec.nodes.hosts} == {key}


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "small.fleet.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())

    assert load(file) == parse(SMALL, "small")


def test_the_internet_may_be_let_in_on_purpose() -> None:
    assert with_part("access: {clients: [0.0.0.0/0], public: true}\n").access.public


def test_a_parsed_spec_does_not_change() -> None:
    spec = parse(SMALL, "fleet.yaml")

    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file: check the path"),
        (
            b"",
            "is empty: begin with name, workload, models, pools and nodes, as stacks/stage1.fleet.yaml does",
        ),
        (b"name: a\nuser: J\xfcrgen\n", "2: is not UTF-8 (byte 0xfc): save the file as UTF-8"),
        (b"\xff\xfen\x00a\x00m\x00e\x00", "1: is not UTF-8 (byte 0xff): save the file as UTF-8"),
        (b"name: a\x00\n", "1: the character U+0000 is not allowed in YAML: remove it"),
        (b"#" * 1_000_001, "is larger than 1 MB: this is no fleet spec"),
    ],
    ids=["missing", "empty", "latin-1", "utf-16", "binary", "huge"],
)
def test_a_file_that_holds_no_text_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "a.fleet.yaml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SpecError) as caught:
        load(file)
    assert re.sub(r"^:? ?", "", str(caught.value).removeprefix(str(file))) == message


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (Path("/"), "is a folder: name a file in it, such as *.fleet.yaml"),
        (Path("/etc/hostname/spec.yaml"), "cannot be read: not a directory"),
        (Path("a\0b"), "cannot be read: embedded null byte"),
        (Path("a" * 300), "cannot be read: file name too long"),
    ],
    ids=["folder", "below a file", "null byte", "long"],
)
def test_a_path_that_is_no_file_is_named(path: Path, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {message}"


def test_the_schema_in_docs_is_current() -> None:
    """Mend with `fleet schema > docs/fleet.schema.json`."""
    assert (ROOT / "docs/fleet.schema.json").read_text(encoding="utf-8") == schema_text()


def test_every_key_is_described_for_editors() -> None:
    parts = {"": schema(), **schema()["$defs"]}
    bare = [
        f"{part}.{key}"
        for part, body in parts.items()
        for key, field in body.get("properties", {}).items()
        if "description" not in field and "$ref" not in field
    ]
    assert bare == []


def test_the_production_example_shows_every_key() -> None:
    text = (ROOT / "stacks/production.fleet.yaml").read_text(encoding="utf-8")
    keys = {key for body in (schema(), *schema()["$defs"].values()) for key in body.get("properties", {})}

    assert sorted(key for key in keys if not re.search(rf"\b{key}:", text)) == []


def test_the_stacks_name_the_schema() -> None:
    for stack in STACKS:
        assert stack.read_text(encoding="utf-8").startswith(
            "# yaml-language-server: $schema=../docs/fleet.schema.json\n"
        )


def test_rules_read_only_the_parts_that_they_declare() -> None:
    whole = parse(RENTED, "fleet.yaml")
    for parts, rule in RULES:
        only = FleetSpec.model_construct(**{part: getattr(whole, part) for part in parts})
        for hidden in FleetSpec.model_fields.keys() - parts:
            only.__dict__.pop(hidden, None)
        assert list(rule(only)) == []


def test_reading_a_spec_loads_nothing_that_it_does_not_need() -> None:
    """`fleet plan` answers in half a second, and half of that is imports."""
    script = "import infra.spec, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert {"pulumi", "paramiko", "grpc", "rich", "typer", "jinja2", "asyncio"}.isdisjoint(
        loaded.stdout.split()
    )


def flags_of_vllm() -> set[str]:
    return set(VLLM_FLAGS.read_text(encoding="utf-8").split())


def test_every_flag_that_the_plan_owns_exists() -> None:
    assert sorted({*OWNED_FLAGS, *COUNTED_FLAGS} - flags_of_vllm()) == []


def test_every_other_flag_of_vllm_is_the_operators() -> None:
    refused = set()
    for flag in flags_of_vllm():
        try:
            with_part(f"engine: {{extra_flags: {{{flag}: true}}}}\n")
        except SpecError:
            refused.add(flag.removeprefix("no-"))
    families = {flag for flag in refused if flag.startswith(("data-parallel-", "spec-", "ssl-"))}
    assert sorted(refused - families - set(OWNED_FLAGS)) == []
    assert set(OWNED_FLAGS) <= refused


def test_a_dumped_spec_is_the_same_spec() -> None:
    for text in (SMALL, RENTED):
        spec = parse(text, "fleet.yaml")
        assert parse(json.dumps(spec.model_dump(mode="json")), "dump") == spec
