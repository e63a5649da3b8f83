"""Draw a comparison of images as a chart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.image.compare.table import Comparison, Row, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ("build, s", lambda row: row.build_seconds),
    ("on disk, MB", lambda row: row.size / 1e6),
    ("compressed, MB", lambda row: row.compressed / 1e6),
    ("first prediction, s", lambda row: row.start_seconds),
)
OURS_COLOUR, THEIR_COLOUR = "#2a6f97", "#adb5bd"


def draw(comparison: Comparison, to: Path) -> None:
    """Write the chart as SVG; the same rows give the same bytes. Needs matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = comparison.rows[::-1]
    with mpl.rc_context({"svg.hashsalt": "onnxpack", "font.size": 8}):
        figure = Figure(figsize=(11, 0.6 + 0.32 * len(rows)), layout="constrained")
        panels: Any = figure.subplots(1, len(_PANELS), sharey=True)
        for panel, (title, measure) in zip(panels, _PANELS, strict=True):
            _bars(panel, title, [name_of(row) for row in rows], [measure(row) for row in rows])
        figure.savefig(to, format="svg", metadata={"Date": None})


def _bars(panel: Axes, title: str, names: list[str], values: list[float | None]) -> None:
    colours = [OURS_COLOUR if name.startswith("ONNX") else THEIR_COLOUR for name in names]
    bars = panel.barh(names, [value or 0 for value in values], color=colours)
    panel.bar_label(bars, [_short(value) for value in values], padding=2)
    panel.set_title(title)
    panel.margins(x=0.25)
    panel.set_xticks([])
    panel.spines[["top", "right", "bottom"]].set_visible(False)


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
