"""The program that fetches weights on a node: which files, whether they fit, whether they are whole."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from provisioning.converge.artifacts import verdict
from provisioning.on_node.fetch_weights import Problem, Request, check_room, explain, prove, wanted_files

SMALL = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "chat_template.jinja"]
REQUEST = Request("maker/model", "main", Path("/models/model"), "models.agent.weights", "")


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        (
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
        ),
        (["model.safetensors", "pytorch_model.bin", "tf_model.h5", "model.onnx"], ["model.safetensors"]),
        (["model.safetensors", "original/consolidated.00.pth", "original/params.json"], ["model.safetensors"]),
        (["model.safetensors", "consolidated.safetensors"], ["model.safetensors"]),
        (["consolidated.safetensors", "params.json"], ["consolidated.safetensors", "params.json"]),
        (["pytorch_model.bin", "pytorch_model.pt"], ["pytorch_model.bin"]),
        (["model.safetensors", "2_Dense/model.safetensors"], ["2_Dense/model.safetensors", "model.safetensors"]),
        (["model-Q4_K_M.gguf"], ["model-Q4_K_M.gguf"]),
    ],
    ids=["shards", "formats", "original", "twice", "mistral", "bin", "embedding", "gguf"],
)  # fmt: skip
def test_weights_of_one_kind_and_all_that_is_no_weights(weights: list[str], wanted: list[str]) -> None:
    assert wanted_files([*SMALL, *weights]) == sorted([*SMALL, *wanted])


def test_what_is_there_already_needs_no_room(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x" * 10)
    check_room(tmp_path, {"there": 10})
    with pytest.raises(
        Problem, match=r"and the weights still need 1048576\.0 GiB: free some, or mount a larger"
    ):
        check_room(tmp_path, {"there": 10, "missing": 1 << 50})


def test_a_file_is_whole_by_the_hubs_own_digest_and_taken_away_where_it_is_not(tmp_path: Path) -> None:
    small, large = b"{}", b"weights"
    files = {
        "config.json": SimpleNamespace(
            size=2,
            lfs=None,
            blob_id=hashlib.sha1(b"blob 2\0{}").hexdigest(),  # noqa: S324 - git's choice
        ),
        "model.safetensors": SimpleNamespace(
            size=7, lfs=SimpleNamespace(sha256=hashlib.sha256(large).hexdigest())
        ),
    }
    (tmp_path / "config.json").write_bytes(small)
    (tmp_path / "model.safetensors").write_bytes(large)
    prove(tmp_path, files)
    (tmp_path / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(Problem, match=r"1 of 2 files arrived damaged, such as model\.safetensors: run again"):
        prove(tmp_path, files)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device"), "the disk of /models/model filled up: free some"),
        (ConnectionError("reset"), "this machine cannot reach the hub (reset): check its network"),
        (KeyError("a bug"), ""),
    ],
)
def test_a_failure_is_explained_where_it_is_known(error: Exception, sentence: str) -> None:
    assert (explain(error, REQUEST) or "")[: len(sentence) or None] == sentence


def test_the_cause_of_an_unknown_error_is_asked_too() -> None:
    error = RuntimeError("could not fetch")
    error.__cause__ = ConnectionError("30 s")
    assert explain(error, REQUEST) == explain(ConnectionError("30 s"), REQUEST)


def test_a_scripts_own_sentence_stands_for_its_log() -> None:
    assert verdict("Resolving\nerror: no route\nproblem: the index is away") == "the index is away"
    assert verdict("Resolving\nerror: no route") == "Resolving\nerror: no route"
