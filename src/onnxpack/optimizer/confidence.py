"""Compute confidence bounds: what a measurement on some rows shows about all rows.

The bounds are lower bounds of one-sided 95 % intervals: if rows are drawn independently, the true
value is below the bound in at most 5 % of all draws. They are one-sided because only a loss
matters. A share of n rows without a miss has the bound ``0.05 ** (1 / n)``, so 299 rows show a loss
of at most 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from onnxpack.errors import UsageError
from onnxpack.signature import Array

RISK = 0.05
"""The probability that the true value is below the bound."""
_STEPS = 60
"""Steps of a bisection: more than the digits of a float64 between 0 and 1."""


def share_bound(successes: int, trials: int) -> float:
    """Return the lower bound of a share, exact for every number of trials.

    It is the share at which so many or more successes have a probability of exactly 5 %. C. J.
    Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
    the binomial", Biometrika 26 (1934), p. 404-413.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if successes == 0:
        return 0.0
    if successes == trials:
        return math.exp(math.log(RISK) / trials)
    return _root(lambda share: _at_least(successes, trials, share))


def mean_bound(scores: Array) -> float:
    """Return the lower bound of the mean of scores between 0 and 1, for any distribution of them.

    It is the mean at which scores as high as these have a probability of at most 5 %, by the
    smaller of two bounds on that probability: W. Hoeffding, "Probability inequalities for sums of
    bounded random variables", JASA 58 (1963), theorem 1, the form with the relative entropy; and V.
    Bentkus, "On Hoeffding's inequalities", Annals of Probability 32 (2004), theorem 1.2. Used
    together in S. Bates et al., "Distribution-free, risk-controlling prediction sets", J. ACM 68
    (2021), section 3.1.2. If all scores are 1, it is the bound of a share.
    """
    count = scores.size
    if not count:
        return 0.0
    mean = float(scores.mean())
    # Rounded down: a sum of ones can come out above their number.
    whole = math.floor(float(scores.sum()) + 1e-9)
    if mean <= 0:
        return 0.0

    def chance(at: float) -> float:
        hoeffding = math.exp(-count * _entropy(min(mean, 1.0), at))
        return min(hoeffding, math.e * _at_least(whole, count, at))

    return _root(chance, below=mean)


def rows_needed(max_loss: float) -> int:
    """Return how many rows without a miss show that at most ``max_loss`` is lost.

    Raises:
        UsageError: ``max_loss`` is not between 0 and 1; no number of rows shows a loss of 0.
    """
    if not 0 < max_loss < 1:
        raise UsageError(
            f"max_loss is {max_loss}, expected more than 0 and less than 1: "
            "no number of rows shows that nothing is ever lost."
        )
    return math.ceil(math.log(RISK) / math.log1p(-max_loss))


def _root(chance: Callable[[float], float], below: float = 1.0) -> float:
    """Return the largest value with a chance of at most ``RISK``; the chance is increasing."""
    low, high = 0.0, below
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if chance(middle) <= RISK:
            low = middle
        else:
            high = middle
    return low


def _at_least(successes: int, trials: int, share: float) -> float:
    """Return the probability of at least so many successes: the binomial's upper tail."""
    if successes <= 0:
        return 1.0
    if share <= 0.0:
        return 0.0
    if share >= 1.0:
        return 1.0
    counts = np.arange(successes, trials + 1)
    first = _log_choose(trials, successes)
    # Ratio of each binomial coefficient to the one before: (n - k) / (k + 1).
    ratios = np.log((trials - counts[:-1]) / (counts[:-1] + 1.0))
    choose = first + np.concatenate([[0.0], np.cumsum(ratios)])
    logs = choose + counts * math.log(share) + (trials - counts) * math.log1p(-share)
    return min(1.0, float(np.exp(logs).sum()))


def _log_choose(trials: int, chosen: int) -> float:
    return math.lgamma(trials + 1) - math.lgamma(chosen + 1) - math.lgamma(trials - chosen + 1)


def _entropy(found: float, at: float) -> float:
    """Return the relative entropy of two coins; 0 if ``found`` is not above ``at``."""
    if found <= at:
        return 0.0
    if at <= 0.0:
        return math.inf
    heads = found * math.log(found / at)
    tails = (1 - found) * math.log((1 - found) / (1 - at)) if found < 1 else 0.0
    return heads + tails
