"""Draw a benchmark as a chart."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.benchmark.outcome import PACK, Outcome, Point
from onnxpack.errors import MissingExtraError, UsageError
from onnxpack.pack.manifest import Timing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png")
PACK_COLOUR = "#2a6f97"
COLOURS = ("#6c757d", "#adb5bd", "#c9ada7", "#9a8c98", "#d4a373", "#84a98c")


def check_chart(path: Path) -> None:
    """Check, before the measurements, that a chart can be drawn.

    Raises:
        UsageError: the file's format is not supported, or its folder does not exist.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix not in FORMATS:
        raise UsageError(
            f"{path} is not a chart file: its name must end in one of {', '.join(FORMATS)}."
        )
    check_drawing(path)


def check_drawing(path: Path) -> None:
    """Check that a file with a drawing can be written.

    Raises:
        UsageError: the folder does not exist, or the file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    if not path.parent.is_dir():
        raise UsageError(
            f"the folder {path.parent} does not exist.", remedy=f"mkdir -p {path.parent}"
        )
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: it is a folder, or there is no permission.")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", extra="chart")


def draw_chart(found: Outcome, to: Path) -> None:
    """Draw each way at each size; the same figures give the same bytes.

    The length of a bar is the speed relative to the reference, with the 95 % interval, so that
    sizes whose calls differ a hundredfold fit one picture. If only the pack was timed, it is
    milliseconds a call, with the quartiles.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "onnxpack", "font.size": 9}):
        names = list(dict.fromkeys(row.name for point in found.points for row in point.rows))
        height = 1.2 + 0.28 * len(names) * len(found.points)
        figure = Figure(figsize=(8, height), layout="constrained")
        panel: Any = figure.subplots()
        _bars(panel, found, names)
        beside = f" and {found.framework}" if found.framework else ""
        panel.set_title(f"{found.pack} with onnxpack{beside}: {found.threads} threads", loc="left")
        metadata = {"Date": None} if to.suffix == ".svg" else {}
        figure.savefig(to, metadata=metadata, dpi=150)


def _bars(panel: Axes, found: Outcome, names: list[str]) -> None:
    colours = dict(zip((n for n in names if n != PACK), COLOURS * len(names), strict=False))
    colours[PACK] = PACK_COLOUR
    labels, at = [], 0
    for point in found.points:
        for timing in (row.timing for row in point.rows if row.timing):
            middle, low, high = _length(timing, alone=not found.framework)
            spread = [[max(0.0, middle - low)], [max(0.0, high - middle)]]
            bar = panel.barh(at, middle, xerr=spread, color=colours[timing.name], ecolor="#495057")
            panel.bar_label(bar, [f"{timing.seconds * 1000:.3g} ms"], padding=3)
            labels.append((at, f"{timing.name}{_at(point, found)}"))
            at += 1
        at += 1
    panel.set_yticks([place for place, _ in labels], [text for _, text in labels])
    panel.invert_yaxis()
    panel.margins(x=0.3)
    alone = "milliseconds per call: the median and the middle half of all calls"
    reference = found.points[0].rows[0].name
    beside = f"times as fast as {reference}, with the 95 % interval"
    panel.set_xlabel(beside if found.framework else alone)
    panel.spines[["top", "right"]].set_visible(False)


def _length(timing: Timing, *, alone: bool) -> tuple[float, float, float]:
    """Return the length of a bar, and the ends of its spread."""
    if alone:
        low, high = timing.quartiles
        return timing.seconds * 1000, low * 1000, high * 1000
    return timing.ratio or 1.0, *(timing.interval or (1.0, 1.0))


def _at(point: Point, found: Outcome) -> str:
    if len(found.points) == 1:
        return ""
    return ", " + ", ".join(f"{name} {size}" for name, size in point.dims.items())
