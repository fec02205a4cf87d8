"""Image, video and audio towers beside a language model, and the projectors that join them.

Shapes follow the published modeling code; each kind was checked against the parameter totals of its checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infra.memory.config import Config
from infra.memory.families.blocks import gated_mlp
from infra.memory.network import Tower
from infra.memory.tensors import Split, Tensor, linear, plain, vector


@dataclass(frozen=True)
class Encoder:
    """A vision transformer: `patch_inputs` numbers make one patch, `norms` vectors of its width stand in a block."""

    prefix: str
    hidden: int
    features: int
    layers: int
    patch_inputs: int
    positions: int = 0
    bias: bool = True
    gated: bool = False
    norms: int = 4
    split: bool = True

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor of the encoder; the engine divides it over the ranks unless `split` is off."""
        rows, columns = (Split.ROWS, Split.COLUMNS) if self.split else (Split.WHOLE, Split.WHOLE)
        yield plain(self.prefix + "patch_embed", self.hidden, self.patch_inputs)
        if self.positions:
            yield plain(self.prefix + "pos_embed", self.positions, self.hidden)
        for index in range(self.layers):
            block = f"{self.prefix}blocks.{index}."
            yield from linear(block + "attn.qkv", (3 * self.hidden, self.hidden), rows, bias=self.bias)
            yield from linear(block + "attn.proj", (self.hidden, self.hidden), columns, bias=self.bias)
            if self.gated:
                yield from gated_mlp(
                    block + "mlp.", self.hidden, self.features, bias=self.bias, split=self.split
                )
            else:
                yield from linear(block + "mlp.fc1", (self.features, self.hidden), rows, bias=self.bias)
                yield from linear(block + "mlp.fc2", (self.hidden, self.features), columns, bias=self.bias)
            yield vector(block + "norms", self.hidden, self.norms)


def _projector(
    prefix: str, *sizes: tuple[int, int], bias: bool = True, split: bool = True
) -> Iterator[Tensor]:
    """Matrices from tower to language model; of a pair, the first is divided by rows and the second by columns."""
    pair = (Split.ROWS, Split.COLUMNS) if split and len(sizes) == 2 else (Split.WHOLE,) * len(sizes)
    for index, (rows, columns) in enumerate(sizes):
        yield from linear(f"{prefix}linear_{index}", (rows, columns), pair[index], bias=bias)


def _merger(prefix: str, hidden: int, output: int, *, split: bool = True) -> Iterator[Tensor]:
    """Four neighbouring patches become one token of the language model."""
    yield from _projector(prefix, (4 * hidden, 4 * hidden), (output, 4 * hidden), split=split)


def _qwen3_vl(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden, patch = vision.count("hidden_size"), vision.count("patch_size")
    yield from Encoder(
        prefix="model.visual.",
        hidden=hidden,
        features=vision.count("intermediate_size"),
        layers=vision.layers("depth"),
        patch_inputs=3 * vision.count("temporal_patch_size", 2) * patch**2,
        positions=vision.count("num_position_embeddings"),
    ).tensors()
    for index in range(1 + len(vision.counts("deepstack_visual_indexes", ()))):
        yield from _merger(
            f"model.visual.merger.{index}.", hidden, vision.count("out_hidden_size", text_hidden)
        )


def _qwen25_vl(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden, patch = vision.count("hidden_size"), vision.count("patch_size", 14)
    yield from Encoder(
        prefix="visual.",
        hidden=hidden,
        features=vision.count("intermediate_size"),
        layers=vision.layers("depth"),
        patch_inputs=3 * vision.count("temporal_patch_size", 2) * patch**2,
        gated=True,
        norms=2,
    ).tensors()
    yield from _merger("visual.merger.", hidden, vision.count("out_hidden_size", text_hidden))


def _mineru_diffusion(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden, patch = vision.count("embed_dim"), vision.count("patch_size", 14)
    yield from Encoder(
        prefix="visual.",
        hidden=hidden,
        features=int(hidden * vision.number("mlp_ratio")),
        layers=vision.layers("depth"),
        patch_inputs=3 * vision.count("temporal_patch_size", 2) * patch**2,
    ).tensors()
    yield from _merger("visual.merger.", hidden, text_hidden)


def _dots_ocr(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden = vision.count("embed_dim")
    yield from Encoder(
        prefix="vision_tower.",
        hidden=hidden,
        features=vision.count("intermediate_size"),
        layers=vision.layers("num_hidden_layers"),
        patch_inputs=3 * vision.count("patch_size", 14) ** 2,
        bias=False,
        gated=True,
        norms=2,
    ).tensors()
    yield from _merger("vision_tower.merger.", hidden, text_hidden)


def _kimi_vl(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden = vision.count("hidden_size")
    side = vision.count("init_pos_emb_height", 64) * vision.count("init_pos_emb_width", 64)
    yield from Encoder(
        prefix="vision_tower.",
        hidden=hidden,
        features=vision.count("intermediate_size"),
        layers=vision.layers("num_hidden_layers"),
        patch_inputs=3 * vision.count("patch_size", 14) ** 2,
        positions=side,
    ).tensors()
    yield from _merger("multi_modal_projector.", hidden, text_hidden, split=False)


def _kimi_k25(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden = vision.count("vt_hidden_size")
    side = vision.count("init_pos_emb_height", 64) * vision.count("init_pos_emb_width", 64)
    yield from Encoder(
        prefix="vision_tower.",
        hidden=hidden,
        features=vision.count("vt_intermediate_size"),
        layers=vision.layers("vt_num_hidden_layers"),
        patch_inputs=3 * vision.count("patch_size", 14) ** 2,
        positions=side,
    ).tensors()
    yield from _merger("mm_projector.", hidden, text_hidden, split=False)


def _clip_like(vision: Config, layers: int, extra_position: int) -> Encoder:
    patch = vision.count("patch_size")
    return Encoder(
        prefix="vision_tower.",
        hidden=vision.count("hidden_size"),
        features=vision.count("intermediate_size"),
        layers=layers,
        patch_inputs=3 * patch**2 + (0 if extra_position else 1),
        positions=(vision.count("image_size") // patch) ** 2 + extra_position,
    )


def _gemma3(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    yield from _clip_like(vision, vision.layers("num_hidden_layers"), 0).tensors()
    yield from _projector("multi_modal_projector.", (text_hidden, vision.count("hidden_size")), bias=False)


def _llava_next(config: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    yield from _clip_like(vision, vision.layers("num_hidden_layers"), 0).tensors()
    layers_read = len(config.facts["vision_feature_layer"]) if _is_list(config, "vision_feature_layer") else 1
    hidden = vision.count("hidden_size")
    yield from _projector(
        "multi_modal_projector.", (text_hidden, hidden * layers_read), (text_hidden, text_hidden)
    )


def _llava(config: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    """LLaVA reads the tower at one layer from its end, and the engine does not load the layers after it."""
    from_end = config.facts.get("vision_feature_layer", -2)
    config.has("vision_feature_layer")
    layers = vision.layers("num_hidden_layers")
    if isinstance(from_end, bool) or not isinstance(from_end, int) or not -layers <= from_end < 0:
        raise config.error("vision_feature_layer", f"must be a layer counted from the end, not {from_end!r}")
    yield from _clip_like(vision, layers + 1 + from_end, 1).tensors()
    hidden = vision.count("hidden_size")
    yield from _projector("multi_modal_projector.", (text_hidden, hidden), (text_hidden, text_hidden))


def _mistral3(config: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    """Pixtral's tower. Mistral's own bf16 releases load in Mistral's format, whose tower the engine keeps whole."""
    hidden = vision.count("hidden_size")
    yield from Encoder(
        prefix="vision_tower.",
        hidden=hidden,
        features=vision.count("intermediate_size"),
        layers=vision.layers("num_hidden_layers"),
        patch_inputs=3 * vision.count("patch_size", 14) ** 2,
        bias=False,
        gated=True,
        norms=2,
        split=config.has("quantization_config"),
    ).tensors()
    merged = vision.count("hidden_size") * config.count("spatial_merge_size", 2) ** 2
    yield plain("multi_modal_projector.merging_layer", hidden, merged)
    yield from _projector(
        "multi_modal_projector.", (text_hidden, hidden), (text_hidden, text_hidden), bias=False
    )


def _llama4(_: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden, output = vision.count("hidden_size"), vision.count("vision_output_dim", 4096)
    yield from Encoder(
        prefix="vision_model.",
        hidden=hidden,
        features=vision.count("intermediate_size"),
        layers=vision.layers("num_hidden_layers"),
        patch_inputs=3 * vision.count("patch_size", 14) ** 2,
        positions=(vision.count("image_size") // vision.count("patch_size", 14)) ** 2 + 1,
    ).tensors()
    yield from _projector("vision_model.vision_adapter.", (output, 4 * hidden), (output, output), bias=False)
    yield from _projector("multi_modal_projector.", (text_hidden, output), bias=False)


def _gemma4(config: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    hidden = vision.count("hidden_size")
    yield from Encoder(
        prefix="model.vision_tower.",
        hidden=hidden,
        features=vision.count("intermediate_size"),
        layers=vision.layers("num_hidden_layers"),
        patch_inputs=3 * vision.count("patch_size") ** 2,
        positions=2 * vision.count("position_embedding_size"),
        bias=False,
        gated=True,
        norms=4,
    ).tensors()
    yield from _projector("model.embed_vision.", (text_hidden, hidden), bias=False)
    if config.has("audio_config"):
        yield from _gemma4_audio(config.section("audio_config"), text_hidden)


def _gemma4_audio(audio: Config, text_hidden: int) -> Iterator[Tensor]:
    """A conformer: two feed-forward parts, attention with relative keys and a light convolution per layer."""
    hidden, output = audio.count("hidden_size"), audio.count("output_proj_dims")
    for index in range(audio.layers("num_hidden_layers")):
        block = f"model.audio_tower.{index}."
        yield Tensor(block + "feed_forward", 4 * hidden, hidden, Split.WHOLE, 4)
        yield Tensor(block + "attention", hidden, hidden, Split.WHOLE, 5)
        yield plain(block + "convolution", 3 * hidden + audio.count("conv_kernel_size", 5), hidden)
    yield from _projector(
        "model.embed_audio.", (output, hidden), (text_hidden, output), bias=False, split=False
    )


def _gemma4_unified(config: Config, vision: Config, text_hidden: int) -> Iterator[Tensor]:
    """Gemma 4 12B has no towers: patches and audio frames are embedded by one matrix each."""
    width = vision.count("mm_embed_dim")
    patch = vision.count("patch_size") * vision.count("pooling_kernel_size")
    yield plain("model.vision_embedder", width, 3 * patch**2 + 1)
    yield plain("model.vision_positions", 2 * vision.count("mm_posemb_size"), width)
    audio = config.section("audio_config").count("audio_embed_dim")
    yield from _projector(
        "model.embed_vision.", (text_hidden, width), (text_hidden, audio), bias=False, split=False
    )


_TowerBuilder = Callable[[Config, Config, int], Iterator[Tensor]]

# kind: (tensors, tokens of the largest image or clip that the engine profiles with, patches that make one token)
TOWERS: dict[str, tuple[_TowerBuilder, int, int]] = {
    "qwen3_vl": (_qwen3_vl, 16384, 4),
    "qwen2_5_vl": (_qwen25_vl, 16384, 4),
    "mineru_diffusion": (_mineru_diffusion, 16384, 4),
    "dots_ocr": (_dots_ocr, 14400, 4),
    "kimi_vl": (_kimi_vl, 4096, 4),
    "kimi_k25": (_kimi_k25, 4096, 4),
    "gemma3": (_gemma3, 256, 16),
    "llava_next": (_llava_next, 2928, 1),
    "llava": (_llava, 576, 1),
    "mistral3": (_mistral3, 3080, 4),
    "llama4": (_llama4, 2448, 4),
    "gemma4": (_gemma4, 280, 9),
    "gemma4_unified": (_gemma4_unified, 280, 9),
}
_WIDTH_KEYS = ("hidden_size", "embed_dim", "vt_hidden_size", "mm_embed_dim")


def build_tower(kind: str, config: Config, text_hidden: int) -> Tower | None:
    """The tower of a multimodal config, or None where the config has none (a text-only copy of it)."""
    if not config.has("vision_config"):
        return None
    build, tokens_per_item, patches_per_token = TOWERS[kind]
    vision = config.section("vision_config")
    width = vision.count(next((key for key in _WIDTH_KEYS if vision.has(key)), _WIDTH_KEYS[0]))
    return Tower(tuple(build(config, vision, text_hidden)), width, tokens_per_item, patches_per_token)


def _is_list(config: Config, key: str) -> bool:
    return config.has(key) and isinstance(config.facts[key], list)
