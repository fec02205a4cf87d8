"""How far `fleet size` is from what vLLM said when it started: by part, by group, and entry by entry.

    python tests/bench/sizing/score.py [LOGS.jsonl] [--all]

One setup (model, tensor parallelism, GPU) counts once, by the median of its entries, so that a sweep does not decide;
`by source` weighs every publisher alike. Configs in which something that decides bytes was assumed stand apart.
Answers 1 if a bar is missed.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from infra.catalog.devices import Device, device_named, device_of_memory
from infra.catalog.models import Model, model_from_config, model_named
from infra.errors import SizingError
from infra.memory import EngineSettings, MemoryBudget, size_replica

DATA = Path(__file__).with_name("data")
GIB = 1 << 30
PARTS = ("weights", "kv", "tokens", "concurrency")
BARS = {"weights": 1.0, "kv": 3.0, "concurrency": 5.0}
COVERAGE_BAR, OUTSIDE_BAR = 0.9, 0.1

Entry = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One start log and what was answered for it; errors are relative, 0.01 is one per cent too much."""

    entry: Entry
    budget: MemoryBudget
    errors: dict[str, float]
    low_confidence: bool

    @property
    def setup(self) -> tuple[str, int, str]:
        """What counts once."""
        return self.entry["model"], self.entry["tp"], self.entry["gpu"]

    @property
    def source(self) -> str:
        """Who published it."""
        return "/".join(self.entry["source_url"].split("/")[2:5])

    @property
    def inside(self) -> bool | None:
        """Whether the logged cache is inside the interval."""
        logged = self.entry.get("kv_available_gib_per_gpu")
        if logged is None:
            return None
        interval = self.budget.interval
        return bool(interval.low_bytes <= logged * GIB <= interval.high_bytes)

    @property
    def worst(self) -> float:
        """The largest error of the parts that have a bar."""
        return max((abs(self.errors[part]) for part in BARS if part in self.errors), default=0.0)


@dataclass
class Scores:
    """What was answered, and what was refused with which sentence."""

    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sure(self) -> list[Row]:
        """Rows in whose config nothing was assumed."""
        return [row for row in self.rows if not row.low_confidence]


def score(logs: Path = DATA / "start_logs.jsonl") -> Scores:
    """Size every entry that states what is needed to."""
    names = json.loads((DATA / "models.json").read_text())["models"]
    scores = Scores()
    for line in logs.read_text().splitlines():
        entry = json.loads(line)
        if not _is_complete(entry, names):
            continue
        known = names[entry["model"]]
        try:
            budget = size_replica(_model(known["config"]), _device(entry), settings_of(entry))
        except SizingError as refusal:
            scores.refused.append((entry["id"], str(refusal)))
            continue
        scores.rows.append(Row(entry, budget, _errors(entry, budget), known["low_confidence"]))
    return scores


def _is_complete(entry: Entry, names: dict[str, Any]) -> bool:
    wanted = ("gpu", "tp", "max_model_len")
    has_figure = entry.get("kv_cache_tokens") or entry.get("kv_available_gib_per_gpu")
    return (
        entry["outcome"] == "ok"
        and entry.get("model") in names
        and all(map(entry.get, wanted))
        and bool(has_figure)
    )


def _model(where: str) -> Model:
    kind, _, name = where.partition(":")
    return model_named(name) if kind == "catalog" else model_from_config(DATA / where)


def _device(entry: Entry) -> Device:
    gib = entry.get("gpu_mem_gib")
    return device_of_memory(round(gib * GIB)) if gib else device_named(entry["gpu"])


def settings_of(entry: Entry) -> EngineSettings:
    """The flags that an entry states; the version without its build suffix, as `--vllm-version` is given."""
    quantization = entry.get("quantization")
    return EngineSettings(
        max_model_len=entry["max_model_len"],
        vllm_version=entry.get("vllm_version"),
        tensor_parallel_size=entry["tp"],
        pipeline_parallel_size=entry.get("pp") or 1,
        max_num_seqs=entry.get("max_num_seqs"),
        max_num_batched_tokens=entry.get("max_num_batched_tokens"),
        gpu_memory_utilization=entry.get("gpu_memory_utilization"),
        kv_cache_dtype=entry.get("kv_cache_dtype") or "auto",
        quantization=None if quantization in {None, "None", "compressed-tensors"} else quantization,
        enforce_eager=bool(entry.get("enforce_eager")),
        decode_context_parallel_size=_context_ranks(entry),
    )


def _context_ranks(entry: Entry) -> int:
    stated = re.search(r"decode-context-parallel(?:-size)?[ =](\d+)", entry.get("other_flags") or "")
    return int(stated[1]) if stated else 1


def _errors(entry: Entry, budget: MemoryBudget) -> dict[str, float]:
    answered = {
        "weights": (budget.weights_bytes / GIB, "weights_gib_per_gpu"),
        "kv": (budget.kv_cache_bytes / GIB, "kv_available_gib_per_gpu"),
        "tokens": (budget.kv_cache_tokens, "kv_cache_tokens"),
        "concurrency": (budget.max_concurrency, "max_concurrency"),
    }
    return {part: value / entry[key] - 1 for part, (value, key) in answered.items() if entry.get(key)}


# --------------------------------------------------------------------------------------------- summaries


def mean_of_setups(
    rows: Iterable[Row], part: str, group: Callable[[Row], object] = lambda row: row.setup
) -> float:
    """Mean absolute error in per cent, each setup (or source) counted once; NaN without rows."""
    errors: dict[object, list[float]] = {}
    for row in rows:
        if part in row.errors:
            errors.setdefault(group(row), []).append(abs(row.errors[part]))
    return 100 * statistics.mean(map(statistics.median, errors.values())) if errors else float("nan")


def summary(rows: Sequence[Row], part: str) -> str:
    """One line: how many, mean, median, worst, and the signed mean."""
    setups: dict[object, list[float]] = {}
    for row in rows:
        if part in row.errors:
            setups.setdefault(row.setup, []).append(abs(row.errors[part]))
    if not setups:
        return f"  {part:<12} no figures"
    each = [100 * statistics.median(errors) for errors in setups.values()]
    signed = 100 * statistics.mean(row.errors[part] for row in rows if part in row.errors)
    mean, median = statistics.mean(each), statistics.median(each)
    line = f"  {part:<12} {len(each):3} setups   mean {mean:6.2f} %   median {median:5.2f} %"
    return f"{line}   worst {max(each):6.1f} %   signed {signed:+6.2f} %"


def grouped(rows: Sequence[Row], title: str, key: Callable[[Row], str]) -> Iterator[str]:
    """Mean errors by some property of the entries."""
    yield f"\nby {title:<22} setups  weights      kv  concurrency   (mean absolute error, %)"
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    for name, members in sorted(groups.items(), key=lambda item: -len({row.setup for row in item[1]})):
        means = "".join(f"{mean_of_setups(members, part):9.2f}" for part in BARS)
        yield f"  {name[:24]:<24} {len({row.setup for row in members}):4}{means}"


def report(scores: Scores, *, everything: bool) -> Iterator[str]:
    """The whole report, line by line."""
    residuals = json.loads((DATA / "residuals.json").read_text())
    for title, rows in (
        ("all configs", scores.rows),
        ("without configs in which something was assumed", scores.sure),
    ):
        yield title
        yield from (summary(rows, part) for part in PARTS)
    by_source = ", ".join(
        f"{part} {mean_of_setups(scores.sure, part, lambda row: row.source):.2f}" for part in BARS
    )
    yield f"every publisher counted once: {by_source} % (mean absolute error)"
    yield from _parts_of_the_logs(scores.sure, residuals["calibrated_on"])
    yield from grouped(
        scores.sure, "family", lambda row: row.entry["model"].rpartition("/")[2].partition("-")[0]
    )
    yield from grouped(scores.sure, "GPU", lambda row: row.entry["gpu"])
    yield from grouped(
        scores.sure, "vLLM version", lambda row: ".".join((row.entry["vllm_version"] or "-").split(".")[:2])
    )
    yield from grouped(scores.sure, "tensor parallelism", lambda row: f"TP {row.entry['tp']}")
    yield from _worst(scores, residuals["reasons"], everything=everything)
    yield from (f"refused {name}: {sentence}" for name, sentence in scores.refused)


def _parts_of_the_logs(rows: Sequence[Row], calibrated_on: dict[str, str]) -> Iterator[str]:
    used = [row for row in rows if row.entry["id"].startswith(tuple(calibrated_on))]
    for title, members in (
        ("that constants were taken from", used),
        ("never used for one", [r for r in rows if r not in used]),
    ):
        means = ", ".join(f"{part} {mean_of_setups(members, part):.2f}" for part in BARS)
        yield f"logs {title}: {len(members)} entries, {means} %"


def _worst(scores: Scores, reasons: dict[str, str], *, everything: bool) -> Iterator[str]:
    yield "\nworst entries, one of each setup, and why"
    seen: set[object] = set()
    for row in sorted(scores.rows, key=lambda row: -row.worst):
        if row.setup in seen or row.worst < 0.03:
            continue
        seen.add(row.setup)
        if len(seen) > 12 and not everything:
            break
        errors = "  ".join(f"{part} {100 * error:+.1f} %" for part, error in row.errors.items())
        why = next(
            (reason for start, reason in reasons.items() if row.entry["id"].startswith(start)),
            "not explained",
        )
        yield f"  {row.entry['id'][:44]:<44} {errors}\n      {why}"


def main(arguments: Sequence[str]) -> int:
    """Print the report and say whether every bar is met."""
    paths = [Path(word) for word in arguments if word.endswith(".jsonl")]
    scores = score(*paths[:1])
    print("\n".join(report(scores, everything="--all" in arguments)))
    total = len(scores.rows) + len(scores.refused)
    inside = [row.inside for row in scores.rows if row.inside is not None]
    print(f"\nanswered {len(scores.rows)} of {total}, inside their interval {sum(inside)} of {len(inside)}")
    print("means: " + ", ".join(f"{part} {mean_of_setups(scores.sure, part):.2f} %" for part in BARS))
    print("bars: " + ", ".join(f"{part} {bar:g} %" for part, bar in BARS.items()))
    met = all(mean_of_setups(scores.sure, part) <= bar for part, bar in BARS.items())
    met = met and len(scores.rows) >= COVERAGE_BAR * total and sum(inside) >= (1 - OUTSIDE_BAR) * len(inside)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
