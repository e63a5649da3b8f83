"""The results as a picture: requests a second, by server and connections, to a log scale."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any


def draw(results: dict[str, Any], path: Path, *, raw: str, connections: tuple[int, ...]) -> None:
    """Write an SVG with a panel for each model; the dashed line is the limit."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "onnxpack"
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, (model, rows) in zip(
        figure.subplots(1, len(results["models"])), results["models"].items(), strict=True
    ):
        servers = [name for name in rows if name != raw]
        width = 0.8 / len(servers)
        for place, name in enumerate(servers):
            rates = [statistics.median(rows[name][f"rate@{count}"]) for count in connections]
            left = [x + (place - (len(servers) - 1) / 2) * width for x in range(len(connections))]
            axes.bar(left, rates, width, label=name)
        axes.axhline(statistics.median(rows[raw]["rate"]), color="black", linestyle="--", label=raw)
        axes.set(title=model, yscale="log", xlabel="connections", ylabel="requests / s")
        axes.set_xticks(range(len(connections)), map(str, connections))
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(path, metadata={"Date": None})
