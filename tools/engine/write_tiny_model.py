"""Writes a tiny, random Llama with a tokenizer and a chat template; run by the engine's own Python.

    python write_tiny_model.py CONFIG_JSON TARGET_FOLDER

The architecture is CONFIG_JSON, unchanged. Its answers mean nothing; the engine that gives them is real.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found, unused-ignore]  # installed beside the engine only
from safetensors.torch import save_file  # type: ignore[import-not-found, unused-ignore]
from tokenizers import (  # type: ignore[import-not-found, unused-ignore]
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

SEED = 20261122
INITIAL_DEVIATION = 0.05
WORDS = 6000
SENTENCES = 4000
SPECIAL_TOKENS = ("<pad>", "<s>", "<|im_start|>", "<|im_end|>")
"""In the order of their ids; the configuration names them by id."""

ENGINE_CACHE = "engine-cache"
"""Folder of the model's: files that vLLM's own cache begins with where nothing was started yet."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ONSETS = (
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "br",
    "ch",
    "dr",
    "fl",
    "st",
    "th",
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ou")
CODAS = ("n", "r", "s", "t", "l", "m", "d", "k", "nd", "nt", "st", "ng", "", "", "", "")


def main(config_file: Path, target: Path) -> None:
    """Writes the folder that `vllm serve` takes."""
    config = json.loads(config_file.read_text())
    target.mkdir()
    shutil.copyfile(config_file, target / "config.json")
    _tokenizer(config["vocab_size"]).save(str(target / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}
    _write(target / "special_tokens_map.json", special)
    _write(
        target / "tokenizer_config.json",
        {
            **special,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config["max_position_embeddings"],
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    ids = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write(target / "generation_config.json", ids)
    save_file(_weights(config), str(target / "model.safetensors"), metadata={"format": "pt"})
    for file in target.iterdir():
        file.chmod(0o644)  # safetensors writes 0600, and the engine runs as a user of its own
    _learn(config["architectures"][0], target / ENGINE_CACHE)


def _learn(architecture: str, cache: Path) -> None:
    """Has vLLM find out what it can do with the architecture: 9 s in a process of its own, at each first start."""
    os.environ["VLLM_CACHE_ROOT"] = str(cache)
    # It asks for that variable once, when it is imported.
    from vllm.model_executor.models import (  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415
        ModelRegistry,
    )

    ModelRegistry.models[architecture].inspect_model_cls()
    for file in cache.rglob("*.json"):
        file.chmod(0o644)


def _weights(config: dict[str, Any]) -> dict[str, Any]:
    """Every tensor of a Llama of this shape, by the name that the checkpoint format gives it."""
    generator = torch.Generator().manual_seed(SEED)
    dtype = getattr(torch, config["torch_dtype"])
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    query = config["num_attention_heads"] * config["head_dim"]
    key_value = config["num_key_value_heads"] * config["head_dim"]

    def matrix(rows: int, columns: int) -> Any:
        return (torch.randn(rows, columns, generator=generator) * INITIAL_DEVIATION).to(dtype)

    def ones() -> Any:
        return torch.ones(hidden, dtype=dtype)

    tensors = {
        "model.embed_tokens.weight": matrix(vocabulary, hidden),
        "lm_head.weight": matrix(vocabulary, hidden),
        "model.norm.weight": ones(),
    }
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}.{norm}.weight"] = ones()
        tensors[f"{prefix}.self_attn.q_proj.weight"] = matrix(query, hidden)
        tensors[f"{prefix}.self_attn.k_proj.weight"] = matrix(key_value, hidden)
        tensors[f"{prefix}.self_attn.v_proj.weight"] = matrix(key_value, hidden)
        tensors[f"{prefix}.self_attn.o_proj.weight"] = matrix(hidden, query)
        tensors[f"{prefix}.mlp.gate_proj.weight"] = matrix(inner, hidden)
        tensors[f"{prefix}.mlp.up_proj.weight"] = matrix(inner, hidden)
        tensors[f"{prefix}.mlp.down_proj.weight"] = matrix(hidden, inner)
    return tensors


def _tokenizer(vocabulary: int) -> Any:
    """A byte-level tokenizer trained on made-up sentences until it has `vocabulary` tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    return tokenizer


def _sentences() -> Iterator[str]:
    dice = random.Random(SEED)  # noqa: S311  # the same sentences every time, not secrets
    words = ["".join(_syllable(dice) for _ in range(dice.randint(1, 3))) for _ in range(WORDS)]
    for _ in range(SENTENCES):
        sentence = " ".join(dice.choices(words, k=dice.randint(6, 20)))
        yield sentence.capitalize() + dice.choice(".?!,\n")


def _syllable(dice: random.Random) -> str:
    return dice.choice(ONSETS) + dice.choice(VOWELS) + dice.choice(CODAS)


def _write(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
