"""Write all trials as one HTML page: a table, and a chart of speed, accuracy and size."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.benchmark.chart import check_drawing
from onnxpack.errors import UsageError
from onnxpack.notebook import in_html
from onnxpack.optimizer.trial import Trial, Verdict

if TYPE_CHECKING:
    from onnxpack.optimizer.optimize import Optimized

COLOURS = {
    Verdict.KEPT: "#2a6f97",
    Verdict.RIGHT: "#61a5c2",
    Verdict.LOSES: "#d1495b",
    Verdict.OPEN: "#adb5bd",
    Verdict.SLOWER: "#ced4da",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem;
border-bottom: 1px solid #8884 } td.n { text-align: right; font-variant-numeric: tabular-nums }
svg { max-width: 100%; height: auto; background: #fff } .scroll { overflow-x: auto }
@media (prefers-color-scheme: dark) { body { background: #14181c; color: #e6e6e6 } }
"""


def check_report(path: Path) -> None:
    """Check, before the search, that a report can be written.

    Raises:
        UsageError: the file does not end in ``.html``, or its folder does not exist.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix != ".html":
        raise UsageError(f"the report {path} is an HTML page: its name must end in .html.")
    check_drawing(path)


def write_report(found: Optimized, to: Path) -> None:
    """Write the report as a page that loads nothing from elsewhere."""
    rows = "\n".join(map(_row, found.trials))
    notes = "".join(f"<p>{in_html(note)}</p>" for note in found.notes)
    title = f"{found.pack.name}, optimized for {found.goal}"
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{in_html(title)}</title><style>{STYLE}</style>
<h1>{in_html(title)}</h1>
<p>At most {found.max_loss:g} of the answers may be lost, with 95 % confidence. The proven graph is
at 1 × and 1.</p>
{notes}
<div class="scroll">{_chart(found)}</div>
<div class="scroll"><table><thead><tr><th>graph<th>verdict<th>times as fast<th>95 % interval<th>MB
<th>figures</tr></thead><tbody>
{rows}
</tbody></table></div>
</html>
"""
    to.write_text(page, encoding="utf-8")


def _row(trial: Trial) -> str:
    speed = trial.speed
    ratio = f"{speed.ratio:.2f}" if speed else ""
    interval = "{:.2f} – {:.2f}".format(*speed.interval) if speed else ""
    size = f"{trial.size / 1e6:.1f}" if trial.size else ""
    return (
        f"<tr><td>{in_html(trial.name)}<td>{trial.verdict.value}<td class=n>{ratio}"
        f"<td class=n>{interval}<td class=n>{size}<td>{in_html(trial.why)}"
    )


def _chart(found: Optimized) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    timed = [trial for trial in found.trials if trial.speed]
    with mpl.rc_context({"svg.hashsalt": "onnxpack", "font.size": 9}):
        figure = Figure(figsize=(9, 5), layout="constrained")
        panel: Any = figure.subplots()
        panel.axhline(1 - found.max_loss, color="#d1495b", lw=1, ls="--")
        panel.axvline(1, color="#868e96", lw=1, ls=":")
        panel.scatter([1], [1], marker="*", s=120, color="#212529", label="the proven graph")
        for trial in timed:
            _point(panel, trial)
        panel.set_xlabel("times as fast as the proven graph")
        panel.set_ylabel("kept: measured, and the lower bound of 95 %")
        panel.spines[["top", "right"]].set_visible(False)
        content = StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue().partition("?>")[2].partition('">\n')[2] or content.getvalue()


def _point(panel: Any, trial: Trial) -> None:
    """Draw a point at what a trial keeps and its speed; the area is the size of the file."""
    if trial.speed is None:
        return
    kept, screened = trial.kept, trial.screened
    value = kept.value if kept else screened if screened is not None else 1.0
    colour = COLOURS.get(trial.verdict, "#adb5bd")
    hollow = kept is None
    panel.scatter(
        [trial.speed.ratio],
        [value],
        s=20 + trial.size / 4e5,
        color="none" if hollow else colour,
        edgecolors=colour,
    )
    if kept:
        panel.plot([trial.speed.ratio] * 2, [kept.lower, kept.value], color=colour, lw=1)
    panel.annotate(
        trial.name, (trial.speed.ratio, value), xytext=(5, 5), textcoords="offset points"
    )
