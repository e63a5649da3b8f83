"""Mixed precision: keep the most sensitive layers of an int8 graph in float32.

The number of layers is found by bisection on the rows that calibrate: with more layers in float32 a
graph loses less, and is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from onnxpack.optimizer.sequence import front, gain
from onnxpack.optimizer.space import Goal, Plan
from onnxpack.optimizer.trial import Trial, Verdict

WEIGHTS = "weights-8"
"""Pass for the spared layers of a dynamic int8 graph: 8-bit weights, and inputs are not rounded."""


def mixes(plan: Plan, layers: int) -> list[list[Plan]]:
    """Return the ways to mix a plan, each as plans with more and more spared layers.

    Args:
        plan: a plan whose last pass makes int8.
        layers: number of layers of the graph.
    """
    counts = how_many(layers)
    ways = [[replace(plan, spared=count) for count in counts]]
    if plan.passes[-1] == "int8-dynamic":
        passes = (*plan.passes, WEIGHTS)
        ways.insert(0, [replace(plan, passes=passes, spared=count) for count in counts])
    return ways


def how_many(layers: int) -> list[int]:
    """Return the numbers of layers to try to spare: 1, 2, 3, 4, 6, 8, 12, up to half of all."""
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
    """Try mixes of the int8 graphs of one runtime that are expected to lose too much.

    Args:
        trials: results of the plans of that runtime.
        goal: goal of the search.
        base: gain of the proven graph itself.
        layers: function that returns the number of layers in the graph of a plan.
        attempt: function that makes, times and screens a plan; returns None if no time is left.

    Returns:
        The results of the mixes.
    """
    found = list(trials)
    tried: list[Trial] = []
    for start in front(filter(_loses, found), goal):
        for way in mixes(start.plan, layers(start.plan)):
            # A mix is useless if it gains no more than a graph that is expected to be right.
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
    """Find the fewest spared layers that are expected to be right, and also try one step more.

    The step more gives the safer graph, which is judged first.
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
        else:  # fewer spared layers lose more, and more of them gain less
            return list(tried.values())
    if low + 1 < len(way):
        at(low + 1)
    return list(tried.values())


def _loses(trial: Trial) -> bool:
    """Return whether a plan is an int8 graph that is expected to lose too much."""
    timed = trial.verdict in (Verdict.OPEN, Verdict.LOSES)
    return trial.plan.mixes and timed and not trial.promising


def _passes(trial: Trial) -> bool:
    """Return whether a graph is right, or is expected to be."""
    return trial.verdict is Verdict.RIGHT or (trial.verdict is Verdict.OPEN and trial.promising)
