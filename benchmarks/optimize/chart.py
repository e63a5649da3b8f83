"""The results as one picture: how many times as fast as the framework, and what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goals import found_runs
from peers import OPENVINO, PACK

FRAMEWORK, RUNTIME, OURS = "#adb5bd", "#61a5c2", "#2a6f97"


def draw(results: Mapping[str, Any], to: Path) -> None:
    """Draw a panel for each model; the same figures give the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    cases = [case for case in results["cases"].values() if "timings" in case]
    if not cases:
        return
    heights = [len(case["timings"]) for case in cases]
    with mpl.rc_context({"svg.hashsalt": "onnxpack", "font.size": 8}):
        size = (8, 0.6 * len(cases) + 0.22 * sum(heights))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(cases), squeeze=False, gridspec_kw={"height_ratios": heights})
        for case, panel in zip(cases, panels[:, 0], strict=True):
            _bars(panel, case)
        panels[-1, 0].set_xlabel("times as fast as the framework's usual way, with 95 % interval")
        figure.savefig(to, metadata={"Date": None})


def _bars(panel: Any, case: Mapping[str, Any]) -> None:
    kept: dict[str, str] = {}
    for run in found_runs(case):
        if run.variant:
            kept[run.variant] = f"keeps at least {run.lower:.3f}"
    for at, row in enumerate(case["timings"]):
        value, low, high = row["to_framework"]
        own = RUNTIME if row["name"] in (PACK, OPENVINO) else FRAMEWORK
        colour = OURS if row["name"] in kept else own
        spread = [[max(0.0, value - low)], [max(0.0, high - value)]]
        bar = panel.barh(at, value, xerr=spread, color=colour, ecolor="#495057")
        panel.bar_label(bar, [f"{value:.2f} ×  {kept.get(row['name'], '')}"], padding=3)
    panel.set_yticks(range(len(case["timings"])), [row["name"] for row in case["timings"]])
    panel.invert_yaxis()
    panel.margins(x=0.4)
    panel.set_title(case["name"], loc="left")
    panel.spines[["top", "right"]].set_visible(False)
