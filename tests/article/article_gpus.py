"""GPU recommendations: memory, fleet sizes, prices and links."""

from __future__ import annotations

from article_claims import (
    EXACT,
    MODEL,
    Claim,
    Ours,
    Section,
    Stated,
    about,
    at_least,
    at_most,
    between,
    corrects,
    exactly,
    rejects,
    reproduces,
    undecided,
)
from article_sizes import LARGE, SMALL, K, memory_gib, seats, usd_per_hour

from infra.catalog.devices import device_named, load_devices


def _link_gb_per_s(device: str) -> float:
    rate = device_named(device).link_bytes_per_s
    assert rate is not None
    return rate / 1e9


def _denser_than_b200() -> float:
    """GPUs of the catalog that seat more sessions of an 8B at 4K than a B200."""
    b200 = seats(SMALL, "B200", 4 * K)
    gpus = [device for device in load_devices().values() if device.kind == "gpu"]
    return sum(seats(SMALL, device, 4 * K) > b200 for device in gpus)


def _price(gpu: str, text: str, dollars: float, why: str) -> Claim:
    return reproduces(
        f"{gpu}: price",
        exactly(text, dollars),
        Ours(lambda: usd_per_hour(gpu), dollars, "${:.2f}/h", EXACT),
        why,
    )


GPUS = Section(
    "GPU recommendations",
    (
        reproduces(
            "A100: memory",
            about("80 GB", 80, 0.015),
            Ours(lambda: memory_gib("A100-80GB-PCIe"), 79.25, "{:.1f} GiB", 1e-3),
            "as the driver reports it; every figure here starts from that number",
        ),
        reproduces(
            "H100: memory",
            about("80 GB", 80, 0.015),
            Ours(lambda: memory_gib("H100-SXM"), 79.19, "{:.1f} GiB", 1e-3),
            "0.8 GiB less than 80, which is a session or two",
        ),
        reproduces(
            "H200: memory",
            about("141 GB", 141, 0.015),
            Ours(lambda: memory_gib("H200"), 139.81, "{:.1f} GiB", 5e-3),
            "as the driver reports it",
        ),
        corrects(
            "B200: memory",
            about("192 GB", 192, 0.015),
            Ours(lambda: memory_gib("B200"), 178.35, "{:.1f} GiB", 5e-3),
            "8 % of the number on the box is not there for programs; it decides the 70B row above",
        ),
        corrects(
            "A100 80GB PCIe, 8B, 16K: fleet size",
            between("40-80 sessions", 40, 80),
            Ours(
                lambda: seats(SMALL, "A100-80GB-PCIe", 16 * K, kv_cache_dtype="auto"),
                30,
                "{:.0f} sessions",
                MODEL,
            ),
            "Ampere keeps the cache in 16 bits, 2 GiB a session; 40 sessions take contexts of 12K",
        ),
        reproduces(
            "H100 PCIe, prefix caching: fleet size",
            between("80-150 sessions", 80, 150),
            Ours(lambda: seats(SMALL, "H100-PCIe", 8 * K), 121, "{:.0f} sessions", MODEL),
            "8B in FP8 at 8K, without counting on the prefix cache",
        ),
        reproduces(
            "H100 SXM5, tensor parallelism over two: fleet size",
            between("150-250 sessions", 150, 250, within=0.1),
            Ours(lambda: seats(SMALL, "H100-SXM", 8 * K, 2), 253, "{:.0f} sessions", MODEL),
            "8B in FP8 at 8K; two replicas of one GPU each seat nearly as many, 242, and need no fast link",
        ),
        corrects(
            "H200, long-context agents: fleet size",
            between("250-500 sessions", 250, 500),
            Ours(lambda: seats(SMALL, "H200", 32 * K), 57, "{:.0f} sessions of 32K", MODEL),
            "the range is that of contexts of 4K to 7K (461 and 263 sessions), which are not long",
        ),
        reproduces(
            "B200, vLLM FP4: fleet size",
            between("500-1,000 sessions", 500, 1000),
            Ours(lambda: seats(SMALL, "B200", 4 * K), 596, "{:.0f} sessions of 4K", MODEL),
            "8B in FP8 at 4K, and 298 at 8K; FP4 takes 4 GiB off the weights, room for 16 more; 1,000 sessions are "
            "those of 2.4K",
        ),
        _price("A100-80GB-PCIe", "$1.04/h", 1.04, "the catalog quotes the article, with its date"),
        _price("H100-PCIe", "$2.01/h", 2.01, "the catalog quotes the article, with its date"),
        _price("H100-SXM", "~$2.40/h", 2.40, "the catalog quotes the article, with its date"),
        reproduces(
            "Two of them for TP=2",
            about("~$4.80/h", 4.80, 1e-6),
            Ours(lambda: 2 * usd_per_hour("H100-SXM"), 4.80, "${:.2f}/h"),
            "GPUs are billed whole",
        ),
        _price("H200", "$3.70/h", 3.70, "the catalog quotes the article, with its date"),
        _price("B200", "$2.01/h spot", 2.01, "kept as a spot price: it can be taken away"),
        reproduces(
            "One H200 serves a 70B orchestrator with long context",
            at_least("one", 1),
            Ours(lambda: seats(LARGE, "H200", 32 * K, sessions=11), 11, "{:.0f} sessions of 32K", 0.1),
            "so eleven workflows at once; the twelfth waits",
        ),
        rejects(
            "On a single GPU, PCIe or SXM makes no difference",
            Stated("irrelevant"),
            None,
            "both seat the same sessions, but the H100 PCIe's memory has 2.0 TB/s and the H100 SXM's 3.35 TB/s "
            "(NVIDIA's data sheet), and decoding goes at the pace of the memory",
        ),
        undecided(
            "At TP=2 or 4 NVLink becomes the bottleneck",
            "1,000+ sessions",
            "whether communication limits throughput takes a measurement; the plan warns of tensor parallelism over "
            "PCIe at any number of sessions",
        ),
        reproduces(
            "H100 SXM: NVLink bandwidth",
            exactly("900 GB/s", 900),
            Ours(lambda: _link_gb_per_s("H100-SXM"), 900, "{:.0f} GB/s"),
            "both directions of one GPU together",
        ),
        reproduces(
            "H100 PCIe with NVLink bridges",
            exactly("600 GB/s", 600),
            Ours(lambda: _link_gb_per_s("H100-NVL"), 600, "{:.0f} GB/s"),
            "the bridged pair of the catalog is the H100 NVL, with the same three bridges",
        ),
        reproduces(
            "SXM cuts a 70B's communication against the bridged pair",
            about("~30 %", 0.30, 0.15),
            Ours(lambda: 1 - _link_gb_per_s("H100-NVL") / _link_gb_per_s("H100-SXM"), 1 / 3, "{:.0%}"),
            "by bandwidth alone, which bounds large transfers; against PCIe without bridges it is 86 %",
        ),
        rejects(
            "The B200 has the highest session density per GPU",
            at_most("highest", 0),
            Ours(_denser_than_b200, 1, "{:.0f} denser"),
            "an MI300X seats 642 sessions of 4K and a B200 596; among NVIDIA's GPUs of the article it holds",
        ),
    ),
)
