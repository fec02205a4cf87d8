"""How full the fullest place gets when sessions fall on places by chance: quantiles instead of averages.

`n` sessions that each choose one of several places independently fill place i as a binomial distribution says. The
places' counts depend on each other, but only a little: the chance that any of them exceeds `k` is at most the sum of
their own chances (Boole's inequality), and for a quantile of 0.95 that sum is larger than the truth by 0.0013 at most.
So the answers here are never too low, and seldom a session too high. (That bound holds for counts that hinder each
other, which multinomial and Dirichlet-multinomial ones do: Joag-Dev and Proschan, Ann. Statist. 11, 1983.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

USUAL_QUANTILE = 0.95
"""Sized for 95 of 100 fleets (or moments): the percentile that the spec's context_tokens is stated at as well."""

_LEAST_TERM = 1e-12
"""Terms of a tail below this part of its sum are left out."""


def most_in_one(sessions: int, shares: Sequence[float], quantile: float = USUAL_QUANTILE) -> int:
    """Sessions in the fullest of places that draw these shares of them; not exceeded with probability `quantile`."""
    fullest = max(shares)
    places = [share for share in shares if share > 0]

    def exceeds(count: int) -> float:
        return sum(_binomial_tail(sessions, share, count) for share in places)

    return _first_below(exceeds, 1 - quantile, math.floor(sessions * fullest), sessions)


def most_in_one_of_rings(sessions: int, places: int, points: int, quantile: float = USUAL_QUANTILE) -> int:
    """As `most_in_one`, where the shares too are chance: each place owns `points` random points of one circle.

    The arcs between random points are exchangeable, so a place's share is Beta(points, points x (places - 1)) and its
    sessions are beta-binomial.
    """
    if places == 1:
        return sessions
    others = points * (places - 1)

    def exceeds(count: int) -> float:
        return places * _beta_binomial_tail(sessions, points, others, count)

    return _first_below(exceeds, 1 - quantile, sessions // places, sessions)


def _first_below(exceeds: Callable[[int], float], chance: float, start: int, most: int) -> int:
    """The smallest count from `start` on that is exceeded with at most this chance; `exceeds` falls.

    The median of a binomial distribution is at least its mean rounded down, so any quantile from one half on lies at
    or above that `start`.
    """
    low, step = start - 1, 1
    while low + step < most and exceeds(low + step) > chance:
        low, step = low + step, 2 * step
    high = min(low + step, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if exceeds(middle) > chance else (low, middle)
    return high


def _binomial_tail(n: int, share: float, above: int) -> float:
    """P(X > above) for X binomial of `n` draws with this chance each."""
    if above >= n:
        return 0.0
    if share >= 1:
        return 1.0
    first = above + 1
    logarithm = _log_choose(n, first) + first * math.log(share) + (n - first) * math.log1p(-share)
    odds = share / (1 - share)
    return _sum_of_terms(logarithm, first, n, lambda k: (n - k) / (k + 1) * odds)


def _beta_binomial_tail(n: int, a: int, b: int, above: int) -> float:
    """P(X > above) for X binomial of `n` draws whose chance is Beta(a, b)."""
    if above >= n:
        return 0.0
    first = above + 1
    logarithm = _log_choose(n, first) + _log_beta(first + a, n - first + b) - _log_beta(a, b)
    return _sum_of_terms(logarithm, first, n, lambda k: (n - k) * (k + a) / ((k + 1) * (n - k - 1 + b)))


def _sum_of_terms(log_first: float, first: int, last: int, ratio: Callable[[int], float]) -> float:
    """Terms `first` to `last` of a distribution, each the one before times `ratio(its index)`."""
    term = math.exp(log_first)
    total = term
    for k in range(first, last):
        factor = ratio(k)
        term *= factor
        total += term
        if factor < 1 and term <= _LEAST_TERM * total:
            break
    return total


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
