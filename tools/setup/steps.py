"""The steps of the set-up, in order: what each part of the project needs before its first command."""

from __future__ import annotations

from collections.abc import Sequence

from tools.setup.base_image import BaseImage
from tools.setup.engine import Engine
from tools.setup.examples import ExampleEnvironment
from tools.setup.litellm import LiteLlmEnvironment
from tools.setup.pulumi_cli import PulumiCli
from tools.setup.python_env import ProjectEnvironment, Uv
from tools.setup.release import Release
from tools.setup.step import Places, Step
from tools.setup.system import SystemPackages, wanted_packages
from tools.setup.tiny_model import TinyModel

PARTS = ("all", "dev", "lab", "litellm", "test")
"""`dev` is what planning, previews and checks need; `lab` is what nodes on this computer need; `all` is both; `test` is
all, and what the examples and the gateway LiteLLM run on. `litellm` is what a lab stack with that gateway
needs on top."""


def steps_for(part: str, places: Places, release: Release) -> Sequence[Step]:
    """The steps of one of PARTS; a step comes after those that it needs."""
    uv = Uv(places)
    engine = Engine(places, release, uv)
    first: list[Step] = [SystemPackages(release, wanted_packages(release, lab=part != "dev")), uv]
    dev: list[Step] = [ProjectEnvironment(places, uv), PulumiCli(places, uv)]
    lab: list[Step] = [BaseImage(places, release), engine, TinyModel(places, engine)]
    litellm: list[Step] = [LiteLlmEnvironment(places, release, uv)]
    everything = [*first, *dev, *lab]
    return {
        "dev": [*first, *dev],
        "lab": [*first, *lab],
        "all": everything,
        "litellm": [*first, *litellm],
        "test": [*everything, *litellm, ExampleEnvironment(places, uv)],
    }[part]
