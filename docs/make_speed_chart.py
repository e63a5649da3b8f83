"""Draws docs/images/speed.svg: how fast PyTorch, the pack and every graph of a search are.

``python docs/make_speed_chart.py`` trains the model of ``examples/07-optimize``, runs ``bench`` and
``optimize`` on it in a temporary folder, and writes the picture. Run it on an idle machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import onnxpack
from onnxpack.benchmark.chart import PACK_COLOUR
from onnxpack.benchmark.outcome import Outcome
from onnxpack.optimizer.optimize import Optimized
from onnxpack.optimizer.report import COLOURS
from onnxpack.optimizer.trial import Verdict

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "07-optimize"
PICTURE = HERE / "images" / "speed.svg"
GREY = "#adb5bd"
SECONDS = 2.0

Bar = tuple[str, float, tuple[float, float], str, str]
"""A name, a ratio with its interval, a colour, and the words beside it."""


def main() -> None:
    """Train, measure, search, and draw."""
    sys.path.insert(0, str(EXAMPLE))
    import digits

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            digits.main()
            pack = onnxpack.export(
                digits.make_model(), torch.rand(1, 1, 8, 8), "digits", labels=digits.LABELS
            )
            timed = onnxpack.bench(pack, digits.make_model(), seconds=SECONDS)
            rows = {"input": np.load("digits.npz")["input"]}
            searched = onnxpack.optimize(pack, "digits-fast", data=rows, progress=print)
        finally:
            os.chdir(before)
    draw(ways(timed), candidates(searched), timed)


def ways(found: Outcome) -> list[Bar]:
    """The framework's ways and the pack, beside the usual way."""
    bars: list[Bar] = []
    for row in found.points[0].rows:
        if row.timing is None:
            continue
        ratio, interval = row.timing.ratio or 1.0, row.timing.interval or (1.0, 1.0)
        colour = PACK_COLOUR if row.name == "pack" else GREY
        bars.append((row.name, ratio, interval, colour, f"{row.timing.seconds * 1e6:,.0f} µs"))
    return bars


def candidates(found: Optimized) -> list[Bar]:
    """Every candidate that was timed, beside the proven graph, the fastest first."""
    bars: list[Bar] = []
    for trial in sorted(found.trials, key=lambda each: -(each.speed.ratio if each.speed else 0)):
        if trial.speed:
            kept = f": at least {trial.kept.lower:.1%} of the answers" if trial.kept else ""
            colour = COLOURS.get(trial.verdict, COLOURS[Verdict.OPEN])
            words = f"{trial.verdict.value}{kept}"
            bars.append((trial.name, trial.speed.ratio, trial.speed.interval, colour, words))
    return bars


def draw(left: list[Bar], right: list[Bar], found: Outcome) -> None:
    """Two panels of bars; the same figures give the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "onnxpack", "font.size": 9}):
        height = 1.1 + 0.28 * max(len(left), len(right))
        figure = Figure(figsize=(11, height), layout="constrained")
        panels: Any = figure.subplots(1, 2)
        _bars(panels[0], left, "onnxpack bench: times as fast as PyTorch eager")
        _bars(panels[1], right, "onnxpack optimize: times as fast as the proven graph")
        versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        figure.supxlabel(f"{found.processor}, {found.threads} threads; {versions}", fontsize=7)
        figure.savefig(PICTURE, metadata={"Date": None})
    text = PICTURE.read_text()
    PICTURE.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def _bars(panel: Any, bars: list[Bar], title: str) -> None:
    for at, (_, ratio, (low, high), colour, words) in enumerate(bars):
        spread = [[max(0.0, ratio - low)], [max(0.0, high - ratio)]]
        drawn = panel.barh(at, ratio, xerr=spread, color=colour, ecolor="#495057")
        panel.bar_label(drawn, [f"{ratio:.2f} ×  {words}"], padding=4)
    panel.set_yticks(range(len(bars)), [name for name, *_ in bars])
    panel.axvline(1, color="#868e96", lw=1, ls=":")
    panel.invert_yaxis()
    panel.margins(x=0.9)
    panel.set_title(title, loc="left")
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
