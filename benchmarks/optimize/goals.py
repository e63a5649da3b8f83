"""What the project asked of ``optimize``, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from peers import PACK

ONNXRUNTIME, OPENVINO = "onnxruntime", "onnxruntime or OpenVINO"
SHARE = 0.95
TIME = 0.2
MINUTES = 5
LOAD = 0.1
BUSY = 1.5
"""Processes a core above which ratios to PyTorch decide nothing; the benchmark's own are 1."""


class Goal(NamedTuple):
    """One line of what was asked."""

    asked: str
    found: str
    met: str


@dataclass(frozen=True)
class Run:
    """One run of ``optimize``, with what the exhaustive run says of it."""

    raw: Mapping[str, Any]
    case: Mapping[str, Any]

    @property
    def runtimes(self) -> str:
        return str(self.raw["runtimes"])

    @property
    def max_loss(self) -> float:
        return float(self.raw["max_loss"])

    @property
    def name(self) -> str:
        return f"{self.runtimes} at {self.max_loss:g}"

    @property
    def failure(self) -> str:
        return str(self.raw.get("failure", ""))

    @property
    def variant(self) -> str:
        return str(self.raw.get("variant", ""))

    @property
    def timed_as(self) -> str:
        """The name of its row among the timings."""
        return self.variant or PACK

    @property
    def seconds(self) -> float:
        return float(self.raw.get("seconds", 0))

    @property
    def lower(self) -> float:
        return float(self.raw["kept"]["lower"]) if self.variant else 1.0

    @property
    def unseen_value(self) -> float:
        return float(self.raw["unseen"]["value"]) if self.variant else 1.0

    @property
    def kept(self) -> str:
        if not self.variant:
            return "all"
        kept = self.raw["kept"]
        return f"{kept['measure']} {kept['value']:.3f}, {kept['lower']:.3f}"

    @property
    def unseen(self) -> str:
        return f"{self.unseen_value:.3f}" if self.variant else "all"

    @property
    def megabytes(self) -> str:
        return f"{(self.raw['size'] if self.variant else self.case['size']) / 1e6:.2f}"

    @property
    def added(self) -> float:
        """The seconds that choosing the variant adds to opening the pack."""
        loads = self.raw.get("loads")
        return float(loads["auto"] - loads["base"]) if loads else 0.0

    @property
    def loads(self) -> str:
        loads = self.raw.get("loads")
        return f"{loads['base']:.3f}, {loads['auto']:.3f}, {self.added:+.3f}" if loads else ""

    def ratio(self, to: str) -> tuple[float, float, float]:
        """How many times as fast it is as the pack or the framework, with its interval."""
        row = next(row for row in self.case["timings"] if row["name"] == self.timed_as)
        value, low, high = row[to]
        return value, low, high

    def fastest(self, to: str) -> float | None:
        """The same of the fastest calls, which others on the machine disturb least."""
        rows = {row["name"]: row.get("fastest_ms") for row in self.case["timings"]}
        reference = PACK if to == "to_pack" else self.case["timings"][0]["name"]
        if not rows[reference] or not rows[self.timed_as]:
            return None
        return float(rows[reference]) / float(rows[self.timed_as])

    @property
    def best(self) -> float:
        """The fastest right plan of the exhaustive run, in the same timings, or the pack itself."""
        right = {plan["name"] for plan in self._space if self._is_right(plan)}
        right |= {PACK, self.timed_as}
        timed = (row for row in self.case["timings"] if row["name"] in right)
        return max(float(row["to_pack"][0]) for row in timed)

    @property
    def share(self) -> float:
        return self.ratio("to_pack")[0] / self.best

    @property
    def time_share(self) -> float | None:
        """Its seconds over those of the exhaustive run; None where these were not measured."""
        if self.case["exhaustive"]["seconds"] is None:
            return None
        return self.seconds / sum(float(plan["seconds"]) for plan in self._space)

    @property
    def _space(self) -> list[Mapping[str, Any]]:
        plans = self.case["exhaustive"]["plans"]
        alone = self.runtimes == ONNXRUNTIME
        return [p for p in plans if not alone or p["plan"]["runtime"] == ONNXRUNTIME]

    def _is_right(self, plan: Mapping[str, Any]) -> bool:
        right = plan["exact"] or plan["lower"] >= 1 - self.max_loss
        return bool(not plan["failure"] and right)


def found_runs(case: Mapping[str, Any]) -> Iterator[Run]:
    """The runs of ``optimize`` of one case."""
    for raw in case["optimized"]:
        yield Run(raw, case)


def judge_goals(cases: Mapping[str, Any]) -> Iterator[Goal]:
    """Yield each goal of which something was measured."""
    yield from _speeds(cases)
    runs = [run for case in cases.values() for run in found_runs(case) if not run.failure]
    if not runs:
        return
    yield _all(
        f"of the best of the exhaustive run: ≥ {SHARE}", runs, lambda run: run.share, ".2f", SHARE
    )
    timed = [run for run in runs if run.time_share is not None]
    if timed:
        yield _all(
            f"of the exhaustive run's time: ≤ {TIME}",
            timed,
            lambda run: -(run.time_share or 0.0),
            ".2f",
            -TIME,
        )
    yield _all(
        "never slower than the input: upper end of the ratio ≥ 1",
        runs,
        lambda run: run.ratio("to_pack")[2],
        ".2f",
        1.0,
    )
    yield _all(
        "kept of unseen rows, beyond what was asked: ≥ 0",
        runs,
        lambda run: run.unseen_value - (1 - run.max_loss),
        "+.3f",
        0.0,
    )
    yield _all("choosing the variant adds ≤ 0.1 s", runs, lambda run: -run.added, ".3f", -LOAD)


def _speeds(cases: Mapping[str, Any]) -> Iterator[Goal]:
    asked = (
        ("efficientnet-lite0", OPENVINO, 0.03, "to_framework", "PyTorch eager", 5.0),
        ("efficientnet-lite0", ONNXRUNTIME, 0.1, "to_framework", "PyTorch eager", 6.0),
        ("minilm-l6", OPENVINO, 0.05, "to_framework", "PyTorch eager", 2.5),
        ("minilm-l6", ONNXRUNTIME, 0.05, "to_pack", "onnxruntime's default", 1.4),
    )
    for name, runtimes, max_loss, to, reference, least in asked:
        for run in _of(cases, name, runtimes, max_loss):
            value, low, high = run.ratio(to)
            fastest = run.fastest(to)
            reached = {value >= least, (fastest or value) >= least}
            busy = to == "to_framework" and max(run.case["load"]) > BUSY
            verdict = "yes" if reached == {True} else "no"
            also = f", fastest calls {fastest:.2f} ×" if fastest else ""
            yield Goal(
                f"{run.case['name']}, {run.name}: ≥ {least:g} × {reference}",
                f"{value:.2f} × ({low:.2f}–{high:.2f}){also}; {run.timed_as}, kept at least "
                f"{run.lower:.3f}",
                "undecided: busy machine" if busy or len(reached) > 1 else verdict,
            )
    slowest = [run for run in _of(cases, "efficientnet-lite0") if not run.failure]
    if slowest:
        seconds = max(run.seconds for run in slowest)
        count = slowest[0].case["rows"]["given"]
        yield Goal(
            f"optimize of EfficientNet-lite0 ends within {MINUTES} minutes (300 pictures)",
            f"at most {seconds:.0f} s, with {count} pictures",
            "yes" if seconds <= MINUTES * 60 else "no",
        )


def _of(
    cases: Mapping[str, Any], name: str, runtimes: str = "", max_loss: float = 0.0
) -> Iterator[Run]:
    for run in found_runs(cases[name]) if name in cases else ():
        if runtimes in ("", run.runtimes) and max_loss in (0.0, run.max_loss) and not run.failure:
            yield run


def _all(asked: str, runs: list[Run], score: Any, form: str, least: float) -> Goal:
    """A goal of every run: the worst one decides."""
    worst = min(runs, key=score)
    reached = sum(score(run) >= least for run in runs)
    value = format(abs(score(worst)) if least < 0 else score(worst), form)
    found = f"{reached} of {len(runs)} runs; worst {value}: {worst.case['name']}, {worst.name}"
    return Goal(asked, found, "yes" if reached == len(runs) else "no")
