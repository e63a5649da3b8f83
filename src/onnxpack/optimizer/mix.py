"""Mixed precision: the most sensitive layers of an int8 graph stay in float32.

How many have to is found by bisection on the rows that calibrate: with more layers in float32 a
graph loses less, and is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from onnxpack.optimizer.sequence import front, gain
from onnxpack.optimizer.space import Goal, Plan
from onnxpack.optimizer.trial import Trial, Verdict

WEIGHTS = "weights-8"
"""What the spared layers of a dynamic int8 graph get: weights of 8 bits, and no rounded input."""


def mixes(plan: Plan, layers: int) -> list[list[Plan]]:
    """Return the ways to mix a plan, each with more and more layers spared.

    Args:
        plan: ends in int8.
        layers: how many the graph has.
    """
    counts = how_many(layers)
    ways = [[replace(plan, spared=count) for count in counts]]
    if plan.passes[-1] == "int8-dynamic":
        passes = (*plan.passes, WEIGHTS)
        ways.insert(0, [replace(plan, passes=passes, spared=count) for count in counts])
    return ways


def how_many(layers: int) -> list[int]:
    """Return how many layers may be spared: 1, 2, 3, 4, 6, 8, 12, to a half of all."""
    found = []
    power = 1
    while power <= layers // 2:
        found.append(power)
        between = power + power // 2
        if power > 1 and between <= layers // 2:
            found.append(between)
        power *= 2
    return found


def mix(
    trials: Iterable[Trial],
    goal: Goal,
    *,
    base: float,
    layers: Callable[[Plan], int],
    attempt: Callable[[Plan], Trial | None],
) -> list[Trial]:
    """Try mixes of the int8 graphs of one runtime that should lose too much.

    Args:
        trials: what became of the plans of that runtime.
        goal: what is searched for.
        base: what the proven graph gains by itself.
        layers: returns how many layers the graph of a plan has.
        attempt: makes, times and screens a plan; it returns None where no time is left.

    Returns:
        What became of the mixes.
    """
    found = list(trials)
    tried: list[Trial] = []
    for start in front(filter(_loses, found), goal):
        for way in mixes(start.plan, layers(start.plan)):
            # Nothing is won by a graph that gains no more than one that should be right.
            right = (gain(each, goal) for each in (*found, *tried) if _passes(each))
            least = max(right, default=base)
            if gain(start, goal) <= least:
                break
            made = _bisect(way, least, goal, attempt)
            tried += made
            if any(map(_passes, made)):
                break
    return tried


def _bisect(
    way: Sequence[Plan], least: float, goal: Goal, attempt: Callable[[Plan], Trial | None]
) -> list[Trial]:
    """Find the fewest spared layers that should be right, and try one step more besides.

    The step more is the safer graph, which is judged first.
    """
    tried: dict[int, Trial] = {}

    def at(index: int) -> Trial | None:
        if index not in tried:
            trial = attempt(way[index])
            if trial is None:
                return None
            tried[index] = trial
        return tried[index]

    low, high = 0, len(way)
    while low < high:
        middle = (low + high) // 2
        trial = at(middle)
        if trial is None or trial.verdict is Verdict.FAILED:
            return list(tried.values())
        if trial.promising:
            high = middle
        elif gain(trial, goal) > least:
            low = middle + 1
        else:  # with fewer layers spared it loses more, with more of them it gains less
            return list(tried.values())
    if low + 1 < len(way):
        at(low + 1)
    return list(tried.values())


def _loses(trial: Trial) -> bool:
    """Return whether a plan is an int8 graph that should lose too much."""
    timed = trial.verdict in (Verdict.OPEN, Verdict.LOSES)
    return trial.plan.mixes and timed and not trial.promising


def _passes(trial: Trial) -> bool:
    """Return whether a graph is right, or should be."""
    return trial.verdict is Verdict.RIGHT or (trial.verdict is Verdict.OPEN and trial.promising)
