"""Persistent sessions: KV cache by context, three context strategies and engine flags."""

from __future__ import annotations

import dataclasses

from article_claims import (
    MODEL,
    Ours,
    Section,
    about,
    at_most,
    between,
    corrects,
    exactly,
    rejects,
    reproduces,
    undecided,
)
from article_sizes import (
    SMALL,
    K,
    kv_gib,
    seats,
    sized,
    token_bytes,
    usd_per_hour,
)

from infra.catalog.devices import device_named
from infra.topology import Session, prefix_bonus, slide_window, split_by_length, summarise

RESEARCH = Session(start_tokens=2000, calls=96, call_tokens=500)
"""The article's research agent: 50,000 tokens once it has read its pages."""

B300 = dataclasses.replace(device_named("B200"), name="B300", memory_bytes=288_000_000_000)
"""288 GB, as NVIDIA and AMD (MI355X, generally available since October 2025) state for what they sell since 2025."""

KV_CACHE = Section(
    "KV cache by context",
    (
        undecided(
            "A research agent that has read 50 pages holds this much context",
            "30,000-50,000 tokens",
            "600 to 1,000 tokens a page are a property of the workload; the spec states it as context_tokens",
        ),
        reproduces(
            "Llama 3.1 8B keeps one token in FP8: 32 layers x 2 x 8 heads x 128 x 1 byte",
            exactly("65,536 bytes (64 KB)", 65_536),
            Ours(lambda: token_bytes(SMALL), 65_536, "{:,.0f} bytes"),
            "the same formula, read from the model's config.json",
        ),
        reproduces(
            "A session of 8K",
            exactly("512 MB", 512),
            Ours(lambda: kv_gib(SMALL, 8 * K, 1) * 1024, 512, "{:.0f} MiB"),
            "64 KiB x 8,192; it shows that the article's MB and GB are 2^20 and 2^30 bytes",
        ),
        reproduces(
            "A session of 32K",
            exactly("2 GB", 2),
            Ours(lambda: kv_gib(SMALL, 32 * K, 1), 2, "{:.0f} GiB"),
            "64 KiB x 32,768",
        ),
        reproduces(
            "100 sessions of 32K",
            exactly("200 GB", 200),
            Ours(lambda: kv_gib(SMALL, 32 * K, 100), 200, "{:.0f} GiB"),
            "before weights and overheads",
        ),
        rejects(
            "That is more than any single GPU one can get",
            at_most("none", 99),
            Ours(lambda: seats(SMALL, B300, 32 * K, sessions=100), 114, "{:.0f} sessions on one", MODEL),
            "GPUs of 288 GB (B300, MI355X) were on the market by then and seat 100 such sessions of an 8B; of "
            "those in the article's own table none does",
        ),
        reproduces(
            "FP16 instead of FP8 doubles a token",
            exactly("double", 2),
            Ours(lambda: token_bytes(SMALL, kv_cache_dtype="auto") / token_bytes(SMALL), 2, "{:.0f}x"),
            "131,072 bytes",
        ),
        reproduces(
            "--kv-cache-dtype fp8 saves half of the KV cache",
            about("50 %", 0.5, 0.01),
            Ours(lambda: 1 - token_bytes(SMALL) / token_bytes(SMALL, kv_cache_dtype="auto"), 0.5, "{:.0%}"),
            "one byte for two; weights and overheads stay as they are",
        ),
        reproduces(
            "It runs on H100, H200 and B200",
            exactly("3 GPUs", 3),
            Ours(lambda: sum(seats(SMALL, gpu, 8 * K) > 0 for gpu in ("H100", "H200", "B200")), 3, "{:.0f}"),
            "Hopper and Blackwell have e4m3 in hardware",
        ),
        corrects(
            "It runs on nothing else",
            exactly("H100, H200, B200 only", 0),
            Ours(lambda: sum(seats(SMALL, gpu, 4 * K) > 0 for gpu in ("L4", "L40S")), 2, "{:.0f} more"),
            "Ada has e4m3 too: an L40S or an L4 seats sessions of an 8B in FP8",
        ),
        reproduces(
            "It does not run on Ampere (A100, A10)",
            exactly("none", 0),
            Ours(lambda: seats(SMALL, "A100-80GB-PCIe", 16 * K), 0, "{:.0f} sessions"),
            "fp8 means e4m3, and the plan refuses it there by the GPU's generation",
        ),
        corrects(
            "nor does any 8-bit cache",
            exactly("none", 0),
            Ours(
                lambda: seats(SMALL, "A100-80GB-PCIe", 16 * K, kv_cache_dtype="fp8_e5m2"),
                61,
                "{:.0f} sessions of 16K",
                MODEL,
            ),
            "e5m2 is a storage format that Ampere can convert; it is coarser, and not every backend has it",
        ),
    ),
)

STRATEGIES = Section(
    "Context strategies and engine flags",
    (
        reproduces(
            "A sliding window takes no extra inference call",
            exactly("0", 0),
            Ours(lambda: slide_window(RESEARCH, 8 * K).extra_calls, 0, "{:.0f} calls"),
            "it only drops text",
        ),
        corrects(
            "and is fast",
            at_most("nothing", 0),
            Ours(lambda: slide_window(RESEARCH, 8 * K).recomputed_tokens, 646_128, "{:,.0f} tokens"),
            "dropping the oldest text changes the beginning, so no prefix cache helps: a 50K session in a window "
            "of 8K is computed 13 times over (pin the system prompt, or drop many turns at once)",
        ),
        reproduces(
            "A summary costs one extra call per checkpoint",
            exactly("1 per 5K tokens", 9),
            Ours(lambda: summarise(RESEARCH).extra_calls, 9, "{:.0f} calls in a session of 50K"),
            "48,000 appended tokens hold nine times 5,000",
        ),
        corrects(
            "5,000 tokens of earlier context become 500",
            about("10 to 1", 10, 0.1),
            Ours(
                lambda: RESEARCH.grown_tokens / summarise(RESEARCH).peak_tokens,
                50_000 / 11_500,
                "{:.1f} to 1",
            ),
            "of a 50K session 11,500 tokens stay: the start, the summaries, and up to 5,000 not yet summarised",
        ),
        reproduces(
            "A cap of 8K for most sessions and a pool of its own for those of 50K is the cheapest",
            at_most("most cost-effective", 1),
            Ours(
                lambda: split_by_length(100, 0.05, 8 * K, 50 * K).kv_tokens / (100 * 50 * K),
                0.247,
                "{:.0%} of the KV cache",
                0.01,
            ),
            "100 sessions, one in twenty long, seats for 98 short and 9 long at a time; without a summary's calls or "
            "a window's recomputing",
        ),
        reproduces(
            "Long sessions belong on an H200 rather than an H100",
            at_most("H200", 1),
            Ours(
                lambda: (
                    usd_per_hour("H200")
                    / seats(SMALL, "H200", 50 * K, sessions=40)
                    / (usd_per_hour("H100-SXM") / seats(SMALL, "H100-SXM", 50 * K, sessions=20))
                ),
                0.81,
                "{:.2f}x the price per session",
                MODEL,
            ),
            "weights and overheads are paid once for more sessions",
        ),
        undecided(
            "--max-model-len is the context at this percentile of the sessions",
            "95th",
            "taken over as the meaning of context_tokens; its value is a property of the workload",
        ),
        reproduces(
            "--max-model-len 8K instead of 32K quadruples the sessions",
            about("4x", 4, 0.02),
            Ours(
                lambda: (
                    sized(SMALL, "H100-SXM", 8 * K, sessions=100).max_concurrency
                    / sized(SMALL, "H100-SXM", 32 * K, sessions=100).max_concurrency
                ),
                4,
                "{:.2f}x",
                1e-3,
            ),
            "the pool does not depend on the flag; sessions that stay short gain nothing, since vLLM pages memory",
        ),
        corrects(
            "Prefix caching saves a part of the KV cache where all workers share a system prompt",
            between("20-40 %", 0.2, 0.4),
            Ours(lambda: prefix_bonus(8 * K, 1000, 100).saved_share, 0.12, "{:.0%}", 0.01),
            "it is the prompt's share of the context, 12 % for 1,000 tokens of 8K; 20-40 % take prompts of 1,700 to "
            "3,300 tokens, and the plan counts it as a bonus, never as room",
        ),
    ),
)
