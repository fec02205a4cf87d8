"""The activation peak that the engine finds when it profiles itself with a full batch.

It runs the towers on the largest images, the model on `max_num_batched_tokens` tokens and the sampler on
`max_num_seqs` rows, and the highest point of the three counts. The sampler's share follows from its source and is
within 0.5 % where it decides; the forward pass is a bound from the live tensors of one layer (within 10 % on the logs
where it decides); the towers' is the coarsest (within 25 %).
"""

from __future__ import annotations

from infra.memory.network import Tower, Work
from infra.memory.overheads import (
    constant_bytes,
    expert_workspace,
    sampler_bytes_per_logit,
    second_runner,
    second_runner_bytes_per_logit,
)
from infra.memory.replica import Replica

_HIDDEN_COPIES = 4  # residual, normed input, attention output and the layer's output live side by side
_GATED_COPIES = 3  # gate and up in one tensor, and their product
_PROCESSORS = 132  # streaming multiprocessors of an H100; other GPUs have 40 to 160
_TOWER_FEATURES = 6  # live features of a tower's layer, in units of its width


def activation_bytes(replica: Replica, *, samples: bool) -> int:
    """Peak bytes on one GPU beyond the weights; `samples` on the last pipeline stage, which has the sampler."""
    works = {layer.work for layer in replica.network.layers}
    encoded = _encoded_bytes(replica)
    workspace = max((_expert_workspace_bytes(work, replica) for work in works), default=0)
    forward = max((_layer_bytes(work, replica) for work in works), default=0)
    stays = workspace if expert_workspace(replica.version)[1] else 0
    sampling = _sampler_bytes(replica) + _hidden_bytes(replica) if samples else 0
    peak = max(tower_bytes(replica), encoded + forward + workspace, encoded + sampling + stays)
    return peak + constant_bytes(replica.device.generation)


def tower_bytes(replica: Replica) -> int:
    """Live bytes while the tower encodes a full budget of images."""
    tower = replica.network.tower
    if tower is None:
        return 0
    patches = tower.patches_per_token * _encoder_tokens(tower, replica)
    return patches * _TOWER_FEATURES * tower.width * replica.element_bytes


def other_sampler_bytes(replica: Replica) -> int:
    """What the peak would be lower by if FlashInfer is installed, whose sampler 0.8 to 0.10 take where they find it."""
    return (
        24 * _rows(replica) * replica.network.vocabulary if (0, 8, 0) <= replica.version < (0, 11, 0) else 0
    )


def _rows(replica: Replica) -> int:
    return min(replica.limits.max_num_seqs, replica.limits.max_num_batched_tokens)


def _hidden_bytes(replica: Replica) -> int:
    return replica.limits.max_num_batched_tokens * replica.network.hidden * replica.element_bytes


def _layer_bytes(work: Work, replica: Replica) -> int:
    """Live bytes of one layer: the wider of its attention and its feed-forward part."""
    tokens = replica.limits.max_num_batched_tokens
    feedforward = -(-work.feedforward // replica.ranks)
    features = max(_GATED_COPIES * feedforward, -(-work.attention // replica.ranks))
    quantized_inputs = (
        tokens * feedforward if any(scheme.bits == 8 for scheme in replica.plan.schemes()) else 0
    )
    return (
        _HIDDEN_COPIES * _hidden_bytes(replica) + tokens * features * replica.element_bytes + quantized_inputs
    )


def _expert_workspace_bytes(work: Work, replica: Replica) -> int:
    """Two buffers of one row per token and chosen expert, as wide as the model or the expert's gate and up.

    (TritonExperts.workspace_shapes in vllm's fused_moe.py; gpt-oss's own kernels on Hopper take none.)
    """
    if not work.experts_per_token or (
        replica.plan.method == "mxfp4" and replica.device.generation == "hopper"
    ):
        return 0
    features = work.expert_features // (1 if replica.settings.expert_parallel else replica.ranks)
    chunk, _ = expert_workspace(replica.version)
    tokens = replica.limits.max_num_batched_tokens
    rows = min(tokens, chunk or tokens) * work.experts_per_token
    hidden = replica.network.hidden
    return rows * (max(hidden, features) + max(hidden, 2 * features)) * replica.element_bytes


def _sampler_bytes(replica: Replica) -> int:
    """Logits and their temporaries for `max_num_seqs` sequences over the whole vocabulary."""
    rows, vocabulary, version = _rows(replica), replica.network.vocabulary, replica.version
    states = 2 * rows * replica.network.hidden * replica.element_bytes
    if second_runner(version, replica.architecture, dense=replica.is_dense, recurrent=replica.is_recurrent):
        return int(rows * vocabulary * second_runner_bytes_per_logit(version)) + states
    per_logit, row_per_processor = sampler_bytes_per_logit(version)
    kept_rows = min(_PROCESSORS, rows) if row_per_processor else 0
    return vocabulary * (rows * per_logit + 4 * kept_rows) + states


def _encoded_bytes(replica: Replica) -> int:
    """Encoded images that wait in the encoder cache while the language model is profiled."""
    tower = replica.network.tower
    return _encoder_tokens(tower, replica) * replica.network.hidden * replica.element_bytes if tower else 0


def _encoder_tokens(tower: Tower, replica: Replica) -> int:
    """The budget is a full batch, or one item where that is larger; whole items are profiled."""
    fitting = replica.limits.max_num_batched_tokens // tower.tokens_per_item
    return max(1, min(fitting, replica.limits.max_num_seqs)) * tower.tokens_per_item
