"""The memory budget at scale: four rows of models, contexts and sessions, and the rules of thumb below them."""

from __future__ import annotations

from article_claims import (
    MODEL,
    Ours,
    Section,
    Stated,
    about,
    at_least,
    between,
    corrects,
    rejects,
    reproduces,
)
from article_sizes import GIB, LARGE, SMALL, K, kv_gib, overhead_gib, seats, sized, total_gib, weights_gib

MEMORY = Section(
    "The memory table",
    (
        reproduces(
            "8B FP8, 8K x 100: KV cache",
            about("~50 GB", 50, 0.01),
            Ours(lambda: kv_gib(SMALL, 8 * K, 100), 50, "{:.0f} GiB"),
            "100 x 512 MiB",
        ),
        reproduces(
            "8B FP8: weights",
            about("~8 GB", 8, 0.07),
            Ours(lambda: weights_gib(SMALL), 8.49, "{:.1f} GiB", MODEL),
            "8 billion bytes are 7.5 GiB; embeddings and head stay in 16 bits",
        ),
        reproduces(
            "8B FP8, 8K x 100: total",
            about("~60 GB", 60, 0.02),
            Ours(lambda: total_gib(SMALL, "H100-PCIe", 8 * K, 1, 100), 60.1, "{:.1f} GiB", MODEL),
            "with the engine's overheads, which come to under 2 GiB",
        ),
        reproduces(
            "8B FP8, 8K x 100 on an H100 PCIe",
            at_least("fits", 100),
            Ours(lambda: seats(SMALL, "H100-PCIe", 8 * K, sessions=100), 122, "{:.0f} seats", MODEL),
            "at utilization 0.90",
        ),
        reproduces(
            "8B FP8, 32K x 100: KV cache",
            about("~200 GB", 200, 0.01),
            Ours(lambda: kv_gib(SMALL, 32 * K, 100), 200, "{:.0f} GiB"),
            "100 x 2 GiB",
        ),
        reproduces(
            "8B FP8, 32K x 100: total",
            about("~210 GB", 210, 0.03),
            Ours(lambda: total_gib(SMALL, "H200", 32 * K, 2, 100), 214.8, "{:.0f} GiB", MODEL),
            "over two GPUs, communication buffers included",
        ),
        reproduces(
            "8B FP8, 32K x 100 on 2x H200",
            at_least("fits", 100),
            Ours(lambda: seats(SMALL, "H200", 32 * K, 2, 100), 118, "{:.0f} seats", MODEL),
            "with tensor parallelism; two replicas seat 57 each, 114",
        ),
        reproduces(
            "70B FP8, 8K x 50: KV cache",
            about("~64 GB", 64, 0.03),
            Ours(lambda: kv_gib(LARGE, 8 * K, 50), 62.5, "{:.1f} GiB"),
            "80 layers x 2 x 8 heads x 128 are 160 KiB a token",
        ),
        reproduces(
            "70B FP8: weights",
            about("~70 GB", 70, 0.04),
            Ours(lambda: weights_gib(LARGE), 67.7, "{:.1f} GiB", MODEL),
            "70.6 billion bytes and 16-bit embeddings are 72.7 GB, which are 67.7 GiB",
        ),
        corrects(
            "70B FP8, 8K x 50: cache and weights together",
            about("~137 GB", 137, 0.02),
            Ours(lambda: kv_gib(LARGE, 8 * K, 50) + weights_gib(LARGE), 130.2, "{:.1f} GiB", MODEL),
            "the article's own parts, 64 and 70, add up to 134",
        ),
        corrects(
            "70B FP8, 8K x 50: with 15 % overhead",
            about("~158 GB", 158, 0.05),
            Ours(lambda: total_gib(LARGE, "H100-SXM", 8 * K, 2, 50), 137.5, "{:.1f} GiB", MODEL),
            "the engine takes 3.6 GiB on each GPU, whatever the cache: not a share of it",
        ),
        reproduces(
            "70B FP8, 8K x 50 on 2x H100 SXM",
            at_least("fits", 50),
            Ours(lambda: seats(LARGE, "H100-SXM", 8 * K, 2, 50), 54, "{:.0f} seats", MODEL),
            "with four to spare; the article's own 158 GB would not have fitted into 2 x 71.3 GiB",
        ),
        reproduces(
            "70B FP8, 8K x 50 on one B200",
            at_least("fits", 50),
            Ours(lambda: seats(LARGE, "B200", 8 * K, 1, 50), 70, "{:.0f} seats", MODEL),
            "without tensor parallelism",
        ),
        reproduces(
            "70B FP8, 32K x 50: KV cache",
            about("~256 GB", 256, 0.03),
            Ours(lambda: kv_gib(LARGE, 32 * K, 50), 250, "{:.0f} GiB"),
            "50 x 5 GiB",
        ),
        reproduces(
            "70B FP8, 32K x 50: total",
            about("~330 GB", 330, 0.02),
            Ours(lambda: total_gib(LARGE, "B200", 32 * K, 2, 50), 327.5, "{:.0f} GiB", MODEL),
            "with the engine's overheads on two GPUs",
        ),
        corrects(
            "70B FP8, 32K x 50 on 2x B200",
            at_least("fits", 50),
            Ours(lambda: seats(LARGE, "B200", 32 * K, 2, 50), 48, "{:.0f} seats", MODEL),
            "two sessions short at utilization 0.90, just enough at 0.92: a B200 offers 178 GiB, not 192",
        ),
        corrects(
            "Add 10-15 % for runtime, context and operating system: a small model on one GPU",
            between("10-15 %", 0.10, 0.15),
            Ours(
                lambda: (
                    overhead_gib(SMALL, "H100-PCIe", 8 * K, 1, 100)
                    / total_gib(SMALL, "H100-PCIe", 8 * K, 1, 100)
                ),
                0.027,
                "{:.1%}",
                0.1,
            ),
            "the overheads depend on batch, vocabulary and version, not on the total",
        ),
        corrects(
            "Add 10-15 %: a large model on two GPUs",
            between("10-15 %", 0.10, 0.15),
            Ours(
                lambda: (
                    overhead_gib(LARGE, "H100-SXM", 8 * K, 2, 50) / total_gib(LARGE, "H100-SXM", 8 * K, 2, 50)
                ),
                0.053,
                "{:.1%}",
                0.1,
            ),
            "mostly communication buffers; headroom is the memory model's own interval instead",
        ),
        corrects(
            "What comes out at 75 GB goes on an 80 GB GPU",
            at_least("75 GB", 75),
            Ours(lambda: sized(SMALL, "H100-PCIe", 8 * K).usable_bytes / GIB, 71.27, "{:.1f} GiB", 1e-3),
            "that is what an H100 offers at utilization 0.90; 75 GiB take 0.95, which the article warns of",
        ),
        rejects(
            "95 % of memory in use under normal load means that a spike makes requests fail",
            Stated("95 %", 0.95, 0.95),
            Ours(
                lambda: (
                    sized(SMALL, "H100-PCIe", 8 * K).usable_bytes
                    / sized(SMALL, "H100-PCIe", 8 * K).total_bytes
                ),
                0.9,
                "{:.0%} in use, idle or busy",
                1e-6,
            ),
            "vLLM claims its share at start and holds it at any load; requests beyond the cache wait or are "
            "preempted and computed again, so what counts is sessions against seats",
        ),
    ),
)
