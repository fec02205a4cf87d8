"""`fleet advise`: what it prints, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from plan_specs import LAB, RENTED, host

from infra.cli import main as cli

Run = Callable[..., tuple[int, str, str]]

MIXED = {
    "workload": {"topology": "hierarchical", "agents": 5, "workflows": 50, "context_tokens": 16384},
    "models": {
        "big": {
            "config": "meta-llama/Meta-Llama-3.1-70B",
            "weights": {"path": "/data"},
            "quantization": "fp8",
        },
        "small": {"config": "Qwen/Qwen3-8B", "weights": {"path": "/data"}, "quantization": "fp8"},
    },
    "pools": {
        "boss": {"model": "big", "role": "orchestrator"},
        "workers": {"model": "small", "role": "worker", "port": 8100},
    },
}


@pytest.fixture
def advise(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `fleet advise` on the rented spec with parts replaced; its exit code, stdout and stderr."""

    def run(*words: str, base: dict[str, object] = RENTED, **parts: object) -> tuple[int, str, str]:
        path = tmp_path / "a.fleet.yaml"
        hosts = {"nodes": {"source": "ssh", "hosts": [host("gpu-1", "T4", 1)]}} if base is RENTED else {}
        path.write_text(json.dumps({**base, **hosts, **parts}), encoding="utf-8")
        code = cli.run(["advise", str(path), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


OFFERS = ("--offer", "one=8xH100-PCIe@2.00", "--offer", "8xH100-SXM@2.40")


def test_tables_say_what_to_rent_what_it_carries_and_why_not_others(advise: Run) -> None:
    code, out, err = advise(*OFFERS, **MIXED)
    assert (code, err) == (0, "")
    for words in (
        "rented: 300 sessions on 3 nodes with 24 GPUs, $48.00 per hour",
        "1  one: 8x H100-PCIe  4 x boss",
        "stated",
        "Alternatives for workers, with what the fleet would cost (6 other splits in --format json)",
        "chosen: the cheapest that fits",
        "$3.20 more per hour",
        "the fleet on it alone",
        "note: one: 8x H100-PCIe: 6 of 8 GPUs stay idle, and are paid for",
    ):
        assert words in out


def test_the_nodes_of_the_spec_do_not_matter(advise: Run) -> None:
    assert advise(*OFFERS) == advise(*OFFERS, nodes={"source": "ssh", "hosts": [host("gpu-1", "B200", 8)]})
    assert advise(base=LAB)[0] == 0


def test_json_holds_every_alternative_with_price_and_seats(advise: Run) -> None:
    code, out, _ = advise("--format", "json", *OFFERS, **MIXED)
    advice = json.loads(out)
    assert code == 0
    assert (advice["price_per_hour"], advice["nodes"], advice["proven"]) == (48.0, 3, True)
    assert [pool["name"] for pool in advice["pools"]] == ["boss", "workers"]
    for pool in advice["pools"]:
        assert len(pool["alternatives"]) == 8
        assert [other["chosen"] for other in pool["alternatives"]].count(True) == 1
        assert all(other["reason"] for other in pool["alternatives"])
    assert sum(pool["price_per_hour"] for pool in advice["pools"]) == pytest.approx(48.0)


def test_without_offers_the_catalogs_prices_are_the_market(advise: Run) -> None:
    _, out, _ = advise("--format", "json")
    advice = json.loads(out)
    assert {verdict["offer"]["gpus"] for verdict in advice["offers"]} == {1, 2, 4, 8}
    assert not any(rental["offer"]["spot"] for rental in advice["rentals"])
    assert "Offers" not in advise()[1]


def test_a_device_may_be_fixed_for_one_pool_or_all_and_is_priced(advise: Run) -> None:
    _, out, _ = advise("--device", "H100-PCIe", "--device", "workers=h100 sxm5", *OFFERS, **MIXED)
    assert "pools.workers.device" in out
    assert "pools.boss.device" in out
    assert "more than 10 x H100-PCIe" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--offer", "nonsense"), 2, "--offer: 'nonsense' is not understood"),
        (("--device", "H1000"), 2, "--device: 'H1000' is not in the catalog of devices"),
        (("--device", "boss=H200"), 2, "--device: 'boss' is no pool of the spec, which has agents"),
        (("--device", "T4"), 1, "pools.agents: T4 is not on offer, and the catalog has no price of it"),
        (("--offer", "1xRTX-4060@0.1"), 1, "pools.agents: nothing on offer carries it: RTX-4060: one session"),
        (("--format", "xml"), 2, "xml"),
    ],
)  # fmt: skip
def test_what_cannot_be_advised_is_one_sentence(
    advise: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    exit_code, out, err = advise(*words)
    assert (exit_code, out, err.count("\n")) == (code, "", 1)
    assert message in err


def test_too_many_sequences_are_refused_as_by_the_plan(advise: Run) -> None:
    pools = {"agents": {"model": "agent", "role": "agent", "max_num_seqs": 4096}}
    code, _, err = advise(pools=pools)
    assert code == 2
    assert err.startswith("pools.agents.max_num_seqs: 4096 ")


def test_long_sessions_get_machines_of_their_own(advise: Run) -> None:
    code, out, _ = advise(
        *("--format", "json", "--device", "long=H200"),
        workload={
            "topology": "flat",
            "agents": 5,
            "workflows": 20,
            "context_tokens": 8192,
            "long_sessions": {"share": 0.05, "context_tokens": 40_960},
        },
        pools={
            "agents": {"model": "agent", "role": "agent"},
            "long": {"model": "agent", "role": "long", "port": 8100},
        },
    )
    assert code == 0
    pools = {pool["name"]: pool for pool in json.loads(out)["pools"]}
    assert (pools["agents"]["sessions"], pools["agents"]["context_tokens"]) == (98, 8192)
    assert (pools["long"]["sessions"], pools["long"]["context_tokens"]) == (9, 40_960)
    assert pools["long"]["device"] == "H200"
