"""Agents of the examples as a fleet meets them: killed in the middle, resumed by another process, counted turn by turn.

Each check takes an AgentHost, so it can be held against any fleet that has a gateway and a store.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from infra.day_two.metrics import sample_values
from support.traces import ROOT

LIMIT_S = 240
Event = Mapping[str, Any]

WORKFLOW = {"orchestrator": 2, "worker-1": 2, "worker-2": 4, "worker-3": 6}
"""The turns of each agent of the workflow that is run here."""


@dataclass(frozen=True)
class AgentHost:
    """A computer of agents: the Python that has their libraries, and what their environment says of the fleet."""

    python: Path
    environment: Mapping[str, str]

    def run(self, example: str, *words: str) -> list[Event]:
        """What the example says until it ends; one that fails fails the test with what it said last."""
        done = subprocess.run(
            self._command(example, words),
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        return _events(done.stdout.splitlines())

    def run_and_kill(self, example: str, *words: str, at: Callable[[Event], bool]) -> list[Event]:
        """What the example says until the first event of that kind; then it is killed by kill -9."""
        with subprocess.Popen(
            self._command(example, words),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout
            said: list[Event] = []
            try:
                for line in process.stdout:
                    said += _events([line])
                    if said and at(said[-1]):
                        break
            finally:
                process.kill()
            said += _events(process.stdout)
        assert process.returncode == -9, f"it ended before it could be killed: {said[-3:]}"
        return said

    def _command(self, example: str, words: Sequence[str]) -> list[str]:
        return [str(self.python), "-m", f"examples.{example}", *words]


@dataclass(frozen=True)
class PrefixCache:
    """vLLM's own counters of one replica since it started, and the tokens that are cached or not as one."""

    queried_tokens: int
    hit_tokens: int
    block_tokens: int


def read_prefix_cache(metrics: str) -> PrefixCache:
    """The counters in the text of an engine's /metrics."""
    [block] = re.findall(r'^vllm:cache_config_info{.*[,{]block_size="(\d+)"', metrics, re.MULTILINE)
    queried, hit = (sample_values(metrics, f"vllm:prefix_cache_{name}_total") for name in ("queries", "hits"))
    return PrefixCache(int(sum(queried)), int(sum(hit)), int(block))


def killed_workflow_resumes(host: AgentHost, name: str) -> list[Event]:
    """The LangGraph workflow is killed when one worker is done and others are not; a second process asks what the store
    lacks and nothing else. Gives all answers, those of the killed process first."""
    said: list[tuple[str, str, int]] = []

    def one_is_stored_and_another_is_not(event: Event) -> bool:
        """By the second turn that worker-3 begins after worker-1's last answer, that answer is in the store."""
        said.append((event["event"], event["agent"], event["turn"]))
        last = ("answered", "worker-1", WORKFLOW["worker-1"])
        since = said[said.index(last) :] if last in said else []
        begun = [turn for what, agent, turn in since if (what, agent) == ("asked", "worker-3")]
        return len(begun) >= 2 and begun[-1] >= 4

    before = host.run_and_kill("langgraph", "start", name, at=one_is_stored_and_another_is_not)
    [stored] = host.run("langgraph", "show", name)
    kept = stored["turns"]
    assert kept["worker-1"] == WORKFLOW["worker-1"], "it was done before the kill"
    assert 3 <= kept["worker-3"] < WORKFLOW["worker-3"]
    after = host.run("langgraph", "resume", name)
    asked = Counter((event["agent"], event["turn"]) for event in after if event["event"] == "asked")
    lacking = [
        (agent, turn)
        for agent, turns in WORKFLOW.items()
        for turn in range(kept.get(agent, 0) + 1, turns + 1)
    ]
    assert asked == Counter(lacking), (
        "a turn that was stored is not asked again, and every other one is asked once"
    )
    assert after[-1] == {"event": "stored", "next": [], "turns": WORKFLOW}
    return [event for event in (*before, *after) if event["event"] == "answered"]


def killed_flow_resumes(host: AgentHost, name: str) -> None:
    """The CrewAI flow is killed in the middle of its second crew; a second process does that step and no other."""
    steps: list[str] = []

    def in_second_crew(event: Event) -> bool:
        steps.extend([event["step"]] if event["event"] == "began" else [])
        return event["event"] == "answered" and steps[-1] == "revise"

    host.run_and_kill("crewai", "start", name, "--max-tokens", "64", at=in_second_crew)
    assert steps == ["plan", "draft", "revise"]
    assert host.run("crewai", "show", name) == [{"event": "stored", "done": ["plan", "draft"]}]
    after = host.run("crewai", "resume", name)
    assert [event["step"] for event in after if event["event"] == "began"] == ["revise"]
    assert [event["agent"] for event in after if event["event"] == "answered"] == ["researcher", "writer"]
    assert after[-1] == {"event": "stored", "done": ["plan", "draft", "revise"]}


def sessions_kept_their_cache(
    answers: Sequence[Event], before: Mapping[str, PrefixCache], after: Mapping[str, PrefixCache]
) -> None:
    """All turns of a session were answered by one replica, and that one found each earlier turn in its cache."""
    sessions: dict[str, list[Event]] = defaultdict(list)
    for answer in answers:
        sessions[answer["agent"]].append(answer)
    wanted: Counter[str] = Counter()
    for agent, turns in sessions.items():
        [replica] = {turn["replica"] for turn in turns}
        assert replica in before, f"{agent} was answered by {replica}"
        wanted[replica] += sum(_reusable(turns, before[replica].block_tokens))
    assert sum(wanted.values()) > 0
    for replica, tokens in wanted.items():
        hits = after[replica].hit_tokens - before[replica].hit_tokens
        assert hits >= tokens, f"{replica} found {hits} tokens, where its sessions came again with {tokens}"


def _reusable(turns: Sequence[Event], block_tokens: int) -> Iterable[int]:
    """Of each follow-up turn, the tokens in whole blocks that the turn before it left in the cache; without its answer,
    whose text may come back as other tokens."""
    for earlier, later in pairwise(turns):
        if later["turn"] > earlier["turn"]:
            yield (earlier["prompt_tokens"] - 1) // block_tokens * block_tokens


def _events(lines: Iterable[str]) -> list[Event]:
    """The objects among the lines; libraries print lines of their own."""
    return [json.loads(line) for line in lines if line.startswith("{")]
