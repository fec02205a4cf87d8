"""Reading config.json: what is missing or odd is refused by the key's full name."""

from __future__ import annotations

import pytest

from infra.errors import SizingError
from infra.memory.config import Config

ODD_VALUES = [
    ("count", {"layers": "many"}, "layers: must be a whole number of at least 1, not 'many'"),
    ("count", {"layers": True}, "layers: must be a whole number of at least 1, not True"),
    ("count", {"layers": 0}, "layers: must be a whole number of at least 1, not 0"),
    ("count", {"layers": 2.5}, "layers: must be a whole number of at least 1, not 2.5"),
    ("count", {}, "layers: is missing from the config"),
    ("count", {"layers": None}, "layers: is missing from the config"),
    ("number", {"layers": float("inf")}, "layers: must be a positive number, not inf"),
    ("flag", {"layers": 1}, "layers: must be true or false, not 1"),
    ("word", {"layers": ["a"]}, "layers: must be a word, not ['a']"),
    ("words", {"layers": "abc"}, "layers: must be a list of words, not 'abc'"),
    ("counts", {"layers": [1, -1]}, "layers: must be a list of whole numbers, not [1, -1]"),
    ("section", {"layers": 3}, "layers: must be an object, not 3"),
]


@pytest.mark.parametrize(("method", "facts", "message"), ODD_VALUES)
def test_an_odd_value_is_refused_by_its_key(method, facts, message):
    with pytest.raises(SizingError) as caught:
        getattr(Config(facts), method)("layers")
    assert str(caught.value) == message
    assert caught.value.field == "layers"


def test_a_nested_key_is_named_with_its_path():
    text = Config({"text_config": {"rope_scaling": {}}}).section("text_config").section("rope_scaling")
    with pytest.raises(SizingError, match=r"^text_config\.rope_scaling\.factor: "):
        text.number("factor")


def test_a_whole_number_written_as_a_float_counts():
    assert Config({"layers": 32.0}).count("layers") == 32


def test_null_takes_the_default():
    assert Config({"window": None}).count("window", 7) == 7


def test_every_key_that_was_asked_for_is_remembered_even_if_it_is_not_there():
    config = Config({"a": 1, "inner": {"b": 2}})
    config.count("a")
    config.section("inner").count("b")
    config.has("c")
    assert config.read == {"a", "inner", "inner.b", "c"}


def test_a_list_by_layer_must_name_each_layer_with_a_known_word():
    config = Config({"layer_types": ["full", "odd"]})
    with pytest.raises(SizingError, match="names 2 layers where the model has 3"):
        config.per_layer("layer_types", 3, ("full",))
    with pytest.raises(SizingError, match="'odd' is no kind of layer"):
        config.per_layer("layer_types", 2, ("full",))
