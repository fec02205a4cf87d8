"""Blocks that layers are built from: attention and feed-forward parts as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from infra.memory.tensors import Split, Tensor, linear, plain, vector


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Grouped-query attention: query, key, value and output projections.

    `query_factor` is 2 where the query carries an output gate; with `shared_value` the keys serve as values too.
    """

    prefix: str
    hidden: int
    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int = 0
    bias: bool = False
    output_bias: bool = False
    output: str = "o_proj"
    query_factor: int = 1
    shared_value: bool = False

    def tensors(self) -> Iterator[Tensor]:
        """The projections; keys and values are divided by key-value heads."""
        value_dim = self.value_dim or self.key_dim
        queries = self.heads * self.key_dim * self.query_factor
        yield from self._into_qkv("q_proj", queries, Split.ROWS)
        yield from self._into_qkv("k_proj", self.kv_heads * self.key_dim, Split.KV_HEADS)
        if not self.shared_value:
            yield from self._into_qkv("v_proj", self.kv_heads * value_dim, Split.KV_HEADS)
        shape = (self.hidden, self.heads * value_dim)
        yield from linear(self.prefix + self.output, shape, Split.COLUMNS, bias=self.output_bias)

    def _into_qkv(self, name: str, rows: int, split: Split) -> Iterator[Tensor]:
        for tensor in linear(self.prefix + name, (rows, self.hidden), split, bias=self.bias, into="qkv_proj"):
            yield replace(tensor, heads=self.kv_heads)


@dataclass(frozen=True, kw_only=True)
class Experts:
    """The routed experts of one layer, stored by the engine as two tensors for all of them."""

    prefix: str
    hidden: int
    features: int
    count: int
    gated: bool = True
    bias: bool = False

    def tensors(self) -> Iterator[Tensor]:
        """Up projections (two where a gate goes with them) and the down projection of every expert."""
        ups = ("gate_proj", "up_proj") if self.gated else ("up_proj",)
        for name in ups:
            yield self._matrix(name, self.features, self.hidden, Split.EXPERT_ROWS, "w13")
        yield self._matrix("down_proj", self.hidden, self.features, Split.EXPERT_COLUMNS, "w2")
        if self.bias:
            yield vector(self.prefix + "w13_bias", len(ups) * self.features, self.count, Split.EXPERT_ROWS)
            yield vector(self.prefix + "w2_bias", self.hidden, self.count, Split.EXPERT_COLUMNS)

    def _matrix(self, name: str, rows: int, columns: int, split: Split, stored: str) -> Tensor:
        name, stored = f"{self.prefix}0.{name}", self.prefix + stored
        return Tensor(name, rows, columns, split, self.count, quantizable=True, stored_as=stored)


def gated_mlp(
    prefix: str, hidden: int, features: int, *, bias: bool = False, split: bool = True
) -> Iterator[Tensor]:
    """Gate, up and down projections of a feed-forward part with a gated activation."""
    rows, columns = (Split.ROWS, Split.COLUMNS) if split else (Split.WHOLE, Split.WHOLE)
    for name in ("gate_proj", "up_proj"):
        yield from linear(prefix + name, (features, hidden), rows, bias=bias, into="gate_up_proj")
    yield from linear(prefix + "down_proj", (hidden, features), columns, bias=bias)


def plain_mlp(up: str, down: str, hidden: int, features: int, *, bias: bool) -> Iterator[Tensor]:
    """An up and a down projection with a plain activation between them."""
    yield from linear(up, (features, hidden), Split.ROWS, bias=bias)
    yield from linear(down, (hidden, features), Split.COLUMNS, bias=bias)


def embedding(name: str, vocabulary: int, hidden: int) -> Tensor:
    """Token embeddings, divided by rows of the vocabulary."""
    return plain(name, vocabulary, hidden, Split.VOCABULARY)


def output_head(vocabulary: int, hidden: int) -> Tensor:
    """The output head of a model with untied embeddings; some schemes quantize it when they say so."""
    return Tensor("lm_head", vocabulary, hidden, Split.VOCABULARY, quantizable=True, stored_as="lm_head")


def norms(prefix: str, hidden: int, count: int) -> Tensor:
    """`count` norms of the layer's width."""
    return vector(prefix + "norms", hidden, count)
