"""The catalog of models: every config in it has a source and is understood, and files are read or refused."""

from __future__ import annotations

import json

import pytest

from infra.catalog.devices import device_named
from infra.catalog.models import find_model, model_from_config, model_named, model_names
from infra.errors import SizingError
from infra.memory import EngineSettings, size_replica

# Architectures whose cache or kernels the memory model does not describe; refused, not guessed.
NOT_UNDERSTOOD = {
    "deepseek-ai/DeepSeek-V4-Flash",
    "deepseek-ai/DeepSeek-V4-Pro",
    "nvidia/DeepSeek-V4-Flash-NVFP4",
    "nvidia/DeepSeek-V4-Pro-NVFP4",
    "sgl-project/DeepSeek-V4-Flash-FP8",
    "sgl-project/DeepSeek-V4-Pro-FP8",
    "MiniMaxAI/MiniMax-M3",
    "moonshotai/Kimi-K3",
    "stepfun-ai/Step-3.7-Flash",
    "stepfun-ai/Step-3.7-Flash-FP8",
}


@pytest.mark.parametrize("name", model_names())
def test_a_model_is_sized_or_refused_by_its_architecture(name):
    def size():
        return size_replica(model_named(name), device_named("H200"), EngineSettings(2048))

    if name in NOT_UNDERSTOOD:
        with pytest.raises(SizingError, match=r"^architectures: "):
            size()
    else:
        assert size().weights_bytes > 0


@pytest.mark.parametrize("name", model_names())
def test_a_model_says_where_its_config_comes_from(name):
    assert not model_named(name).source.endswith(".json")


def test_an_unknown_model_is_refused_with_the_nearest():
    with pytest.raises(SizingError, match="did you mean Qwen/Qwen3-8B"):
        model_named("Qwen/Qwen3-8b")


def test_a_config_is_found_by_file_by_folder_and_by_name(tmp_path):
    facts = dict(model_named("Qwen/Qwen3-0.6B").config)
    (tmp_path / "config.json").write_text(json.dumps(facts))
    for written in (str(tmp_path), str(tmp_path / "config.json"), "Qwen/Qwen3-0.6B"):
        assert dict(find_model(written).config) == facts


def test_a_quantization_file_beside_the_config_counts(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}')
    assert find_model(str(tmp_path)).config["quantization_config"] == {"quantization": {"quant_algo": "FP8"}}


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("[1]", "must hold a JSON object"), ("\x00", "is not JSON")]
)
def test_a_broken_file_is_refused_in_a_sentence(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SizingError, match=message):
        model_from_config(tmp_path)


def test_a_missing_file_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(SizingError, match=r"cannot read .*config.json: No such file"):
        model_from_config(tmp_path / "config.json")


def test_the_mapping_of_a_model_cannot_be_changed():
    with pytest.raises(TypeError):
        model_named("Qwen/Qwen3-0.6B").config["hidden_size"] = 1  # type: ignore[index]


def safetensors(path, **sizes):
    """A file whose header names tensors of these sizes; the tensors themselves are not needed."""
    ends = [sum(list(sizes.values())[: i + 1]) for i in range(len(sizes))]
    spans = zip(sizes, [0, *ends[:-1]], ends, strict=True)
    header = {
        name: {"dtype": "BF16", "shape": [1], "data_offsets": [start, end]} for name, start, end in spans
    }
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def test_the_tensors_beside_a_config_are_counted_by_their_headers(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert find_model(str(tmp_path)).checkpoint_bytes is None
    safetensors(tmp_path / "model-1.safetensors", a=100, b=28)
    safetensors(tmp_path / "model-2.safetensors", c=72)
    assert find_model(str(tmp_path)).checkpoint_bytes == 200


@pytest.mark.parametrize("damage", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b'\x08\0\0\0\0\0\0\0{"a": 1}'])
def test_a_damaged_tensor_file_counts_as_none(tmp_path, damage):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(damage)
    assert find_model(str(tmp_path)).checkpoint_bytes is None


def test_a_checkpoint_that_holds_more_than_its_config_says_is_noted(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(dict(model_named("Qwen/Qwen3-0.6B").config)))
    stated = 2 * 596_049_920
    for held, noted in ((stated, False), (stated * 2, True)):
        safetensors(tmp_path / "model.safetensors", all=held)
        notes = size_replica(find_model(str(tmp_path)), device_named("H200"), EngineSettings(2048)).notes
        assert any("the checkpoint's files hold" in note for note in notes) is noted
