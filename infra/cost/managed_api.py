"""What a managed API charges for the same work: dollars per token, by kind of token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_DATA = Path(__file__).with_name("managed_api.json")
_MILLION = 1_000_000


@dataclass(frozen=True)
class ApiPrice:
    """Dollars per million tokens, of a given day from a named source."""

    name: str
    input_usd_per_million_tokens: float
    cached_input_usd_per_million_tokens: float
    output_usd_per_million_tokens: float
    date: str
    source: str


@dataclass(frozen=True)
class Interaction:
    """One request and its answer. `cached_input_tokens` are those of the input that the API has seen before.

    ValueError for one without tokens, or with more cached tokens than its input has.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.cached_input_tokens <= self.input_tokens:
            raise ValueError(
                f"cached_input_tokens: {self.cached_input_tokens} of {self.input_tokens} input tokens"
            )
        if self.output_tokens < 0 or self.tokens < 1:
            raise ValueError(
                f"an interaction has at least one token, not {self.input_tokens} and {self.output_tokens}"
            )

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


def load_api_prices() -> Mapping[str, ApiPrice]:
    """Every price of managed_api.json by its name."""
    entries = json.loads(_DATA.read_text(encoding="utf-8"))["prices"]
    return MappingProxyType({entry["name"]: ApiPrice(**entry) for entry in entries})


def mixed_price(usd_per_million_tokens: float) -> ApiPrice:
    """A price that does not tell input from output, as the operator states it."""
    return stated_price(usd_per_million_tokens, usd_per_million_tokens)


def stated_price(input_rate: float, output_rate: float, cached_rate: float | None = None) -> ApiPrice:
    """A price that the operator states, per million tokens; input seen before costs as much as new where not told."""
    cached = input_rate if cached_rate is None else cached_rate
    return ApiPrice("stated", input_rate, cached, output_rate, date="", source="stated by the operator")


def usd_per_interaction(price: ApiPrice, interaction: Interaction) -> float:
    """What the API charges for one interaction."""
    fresh = interaction.input_tokens - interaction.cached_input_tokens
    microdollars = (
        fresh * price.input_usd_per_million_tokens
        + interaction.cached_input_tokens * price.cached_input_usd_per_million_tokens
        + interaction.output_tokens * price.output_usd_per_million_tokens
    )
    return microdollars / _MILLION
