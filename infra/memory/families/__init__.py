"""Model families: from a config.json to the network that the engine builds from it.

One row per architecture that `architectures` of a config.json may name; what has no row is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from infra.memory.config import Config
from infra.memory.families.decoder import TRAITS, build_decoder
from infra.memory.families.gemma import build_gemma4
from infra.memory.families.gpt_oss import build_gpt_oss
from infra.memory.families.kimi_linear import build_kimi_linear
from infra.memory.families.laguna import build_laguna
from infra.memory.families.latent import build_latent
from infra.memory.families.llama4 import build_llama4
from infra.memory.families.mimo_v2 import build_mimo_v2
from infra.memory.families.nemotron_h import build_nemotron_h
from infra.memory.families.nemotron_nas import build_nemotron_nas
from infra.memory.families.phi import build_phi
from infra.memory.families.qwen35 import build_qwen35
from infra.memory.families.vision import build_tower
from infra.memory.network import Network

_TEXT_ONLY: dict[str, Callable[[Config], Network]] = {
    "DeepseekV2ForCausalLM": build_latent,
    "DeepseekV3ForCausalLM": build_latent,
    "DeepseekV32ForCausalLM": build_latent,
    "GlmMoeDsaForCausalLM": build_latent,
    "KimiLinearForCausalLM": build_kimi_linear,
    "GptOssForCausalLM": build_gpt_oss,
    "PhiForCausalLM": build_phi,
    "LagunaForCausalLM": build_laguna,
    "MiMoV2FlashForCausalLM": build_mimo_v2,
    "NemotronHForCausalLM": build_nemotron_h,
    "DeciLMForCausalLM": build_nemotron_nas,
}

_TextBuilder = Callable[[Config, bool], Network]


def _decoder(name: str, prefix: str = "model.") -> _TextBuilder:
    return lambda text, tied: build_decoder(text, TRAITS[name], prefix, tied=tied)


_DEEP = "model.language_model."
# architecture: (kind of tower, builder of the language model, whether its embeddings are tied unless stated)
_MULTIMODAL: dict[str, tuple[str, _TextBuilder, bool]] = {
    "Qwen2_5_VLForConditionalGeneration": ("qwen2_5_vl", _decoder("Qwen2ForCausalLM"), False),
    "Qwen3VLForConditionalGeneration": ("qwen3_vl", _decoder("Qwen3ForCausalLM", _DEEP), False),
    "Qwen3VLMoeForConditionalGeneration": ("qwen3_vl", _decoder("Qwen3MoeForCausalLM", _DEEP), False),
    "Qwen3_5ForConditionalGeneration": ("qwen3_vl", lambda c, t: build_qwen35(c, _DEEP, tied=t), False),
    "Qwen3_5MoeForConditionalGeneration": ("qwen3_vl", lambda c, t: build_qwen35(c, _DEEP, tied=t), False),
    "Gemma3ForConditionalGeneration": ("gemma3", _decoder("Gemma3ForCausalLM"), True),
    "Gemma4ForConditionalGeneration": ("gemma4", lambda c, t: build_gemma4(c, _DEEP, tied=t), True),
    "Gemma4UnifiedForConditionalGeneration": (
        "gemma4_unified",
        lambda c, t: build_gemma4(c, _DEEP, tied=t),
        True,
    ),
    "Llama4ForConditionalGeneration": (
        "llama4",
        lambda c, t: build_llama4(c, "language_model.model.", tied=t),
        False,
    ),
    "Mistral3ForConditionalGeneration": ("mistral3", _decoder("MistralForCausalLM"), False),
    "LlavaForConditionalGeneration": ("llava", _decoder("LlamaForCausalLM"), False),
    "LlavaNextForConditionalGeneration": ("llava_next", _decoder("GraniteForCausalLM"), False),
    "KimiVLForConditionalGeneration": ("kimi_vl", lambda c, t: build_latent(c, tied=t), False),
    "KimiK25ForConditionalGeneration": (
        "kimi_k25",
        lambda c, t: build_latent(c, "language_model.model.", tied=t),
        False,
    ),
    "DotsOCRForCausalLM": ("dots_ocr", _decoder("Qwen2ForCausalLM"), False),
    "MinerUDiffusionForConditionalGeneration": ("mineru_diffusion", _decoder("SDARForCausalLM"), False),
}


def architectures() -> tuple[str, ...]:
    """Every architecture the memory model knows."""
    return tuple(sorted({*TRAITS, *_TEXT_ONLY, *_MULTIMODAL}))


def build_network(facts: Mapping[str, Any]) -> tuple[Network, Config]:
    """The network of a config.json, and the reader that remembers which of its keys were used.

    Raises SizingError with the key that is missing, odd or not understood.
    """
    config = Config(facts)
    names = config.words("architectures")
    if len(names) != 1:
        raise config.error("architectures", f"must name one architecture, not {list(names)}")
    name = names[0]
    if name in TRAITS:
        return build_decoder(config, TRAITS[name]), config
    if name in _TEXT_ONLY:
        return _TEXT_ONLY[name](config), config
    if name in _MULTIMODAL:
        return _build_multimodal(config, *_MULTIMODAL[name]), config
    raise config.error("architectures", f"{name!r} is not an architecture that the memory model knows")


def _build_multimodal(config: Config, tower_kind: str, build_text: _TextBuilder, tied: bool) -> Network:
    nested = config.has("text_config")
    text = config.section("text_config") if nested else config
    network = build_text(text, config.flag("tie_word_embeddings", tied) if nested else tied)
    dtype = network.dtype if text.has("dtype") or text.has("torch_dtype") else _outer_dtype(config)
    return replace(network, tower=build_tower(tower_kind, config, network.hidden), dtype=dtype)


def _outer_dtype(config: Config) -> str:
    return config.word("dtype" if config.has("dtype") else "torch_dtype", "bfloat16")
