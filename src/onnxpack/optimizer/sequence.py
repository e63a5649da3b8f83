"""The order in which candidates are judged, fixed before any row judges.

Several candidates are judged on the same rows. If the best of them were taken, its bound would be
too high: the more are judged, the likelier one of them passes by luck. A sequence that is fixed
beforehand, and that ends at the first failure, keeps the risk of one judgement for all of them
together: A. N. Angelopoulos et al., "Learn then test: calibrating predictive algorithms to achieve
risk control" (2021, arXiv:2110.01052), section 2.2, fixed sequence testing.

The sequence is made from the rows that calibrate, so that it is independent of the rows that judge.
It goes from the most exact graph to the fastest.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnxpack.optimizer.space import Goal
from onnxpack.optimizer.trial import Trial, Verdict

SURE = 3
"""Number of candidates, up to the last promising one, that begin the sequence.

A sequence that began with all promising ones would spend most of its time on slow graphs.
"""


def gain(trial: Trial, goal: Goal) -> float:
    """Return the gain of a graph: its speed, or for ``size`` the negative number of bytes."""
    if goal == "size":
        return -trial.size
    return trial.speed.ratio if trial.speed else 0.0


def front(trials: Iterable[Trial], goal: Goal) -> list[Trial]:
    """Return the trials that no other trial beats in both exactness and gain, most exact first.

    Args:
        trials: screened trials; those without a known error are left out.
        goal: goal of the search.
    """
    known = [trial for trial in trials if trial.error is not None]
    ranked = sorted(known, key=lambda trial: (trial.error or 0.0, -gain(trial, goal)))
    found: list[Trial] = []
    for trial in ranked:
        if not found or gain(trial, goal) > gain(found[-1], goal):
            found.append(trial)
    return found


def sequence(trials: Iterable[Trial], goal: Goal) -> list[Trial]:
    """Return the candidates to judge, in order: each is faster and less exact than the one before.

    Args:
        trials: trials of one runtime.
        goal: goal of the search.
    """
    candidates = front(filter(_is_candidate, trials), goal)
    last_sure = max((at for at, each in enumerate(candidates) if each.promising), default=-1)
    return candidates[max(0, last_sure + 1 - SURE) :]


def _is_candidate(trial: Trial) -> bool:
    """Return whether a trial is to be judged, or was judged before an interruption."""
    return trial.verdict is Verdict.OPEN or trial.kept is not None
