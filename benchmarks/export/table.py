"""The benchmark's results as Markdown: a line for a family, then what was refused, and why.

``python benchmarks/export/table.py > docs/reference/frameworks.md`` makes the docs' page of it.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FAMILIES: Mapping[str, str] = {
    "torchvision_models": "torchvision, all of `list_models()`",
    "torch_modules": "PyTorch, hard modules",
    "transformers_models": "transformers",
    "keras_models": "Keras",
    "jax_models": "JAX",
    "sklearn_estimators": "scikit-learn",
    "boosters": "Boosted trees",
    "hostile_models": "Models that mislead",
}
"""The modules beside this one that hold cases, and how the table calls them."""
HOSTILE = "hostile_models"
"""A family that does not count in the line for all: to refuse its models is as right."""
PAGE = """\
# What can be exported

This page lists which models were exported, which were refused, and why. Each pack is then checked
beyond its proof: with other rows, sizes and branches. A model ends as one of four:

- **proven**: the pack was written, and is right in each of these checks;
- **refused**: no pack was written, and the error names a cause;
- **wrong**: the pack was proven, and a check differs;
- **failed**: onnxpack broke.

The last two columns are times of the proof: the model's own answers to all cases, and the
graph's. They are given per second of the whole rest of the export, and per second of making the
graph. Each is the median with its quartiles.

`make bench-export` makes the results, and `benchmarks/export/table.py` makes this page. The cases
are in `benchmarks/export/`. The rows were run at several states of the code. Those of PyTorch and
Keras are the newest, from 2 cores of an AMD EPYC. Seven torchvision models were run again with
them. With random weights, `raft_large` and `raft_small` are refused for their answers at ×1e-5,
and `retinanet_resnet50_fpn` at ×1e4. The machine was busy with other work, which the last two
columns show. The other rows are from:

{machine}

{table}

## Which exporter of PyTorch made the graph

| exporter | graphs |
|---|---|
{exporters}

PyTorch calls its TorchScript exporter legacy, and may drop it. Without it
(`prove_all.py --without-torchscript`), {left} of the same {of} models are proven, and none
is wrong.
"""
RESULTS = Path(__file__).parent / "results/results.json"
WITHOUT_TORCHSCRIPT = Path(__file__).parent / "results/without_torchscript/results.json"
EXPORTERS = {
    "torchscript trace": "TorchScript, traced",
    "torchscript": "TorchScript, scripted",
    "dynamo": "`torch.export` (dynamo)",
}
"""The beginning of a strategy's name, and what the table calls it; the first that fits counts."""
UNPROVEN = "no graph could be proven equal to it."
OUTCOMES = ("proven", "refused", "wrong", "failed")

Row = Mapping[str, Any]


def write_table(rows: Sequence[Row]) -> str:
    """The counts of each family and group; then each model that was not proven."""
    return "\n".join([*_counts(rows), "", *_causes(rows)]) + "\n"


def groups(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each family, and of each group in it: ``classifiers/SVC`` is of classifiers."""
    found: dict[tuple[str, str], list[Row]] = {}
    for family in FAMILIES:
        for row in rows:
            if row["family"] == family:
                group, slash, _ = row["name"].partition("/")
                found.setdefault((family, group if slash else ""), []).append(row)
    return found


def _counts(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| models | tried | {' | '.join(OUTCOMES)} | of all | proof : rest | proof : graph |"
    yield "|---|---|---|---|---|---|---|---|---|"
    lines = {
        (family, group): _line(FAMILIES[family] + (f": {group}" if group else ""), those)
        for (family, group), those in groups(rows).items()
    }
    yield from (line for (family, _), line in lines.items() if family != HOSTILE)
    yield _line("all", [row for row in rows if row["family"] != HOSTILE])
    yield from (line for (family, _), line in lines.items() if family == HOSTILE)


def _line(title: str, rows: Sequence[Row]) -> str:
    counts = {each: sum(row["outcome"] == each for row in rows) for each in OUTCOMES}
    share = f"{counts['proven'] / len(rows):.0%}"
    costs = _cost(rows, "export_seconds", "other_seconds"), _cost(rows, "export_seconds")
    return f"| {' | '.join(map(str, (title, len(rows), *counts.values(), share, *costs)))} |"


def _cost(rows: Iterable[Row], *others: str) -> str:
    """Seconds of the proof for each second of the others: the median and its quartiles."""
    ratios = [
        row["proof_seconds"] / sum(row[other] for other in others)
        for row in rows
        if row["outcome"] == "proven" and row["export_seconds"]
    ]
    if len(ratios) < 2:
        return "–"
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def _causes(rows: Sequence[Row]) -> Iterator[str]:
    for (family, group), those in groups(rows).items():
        unproven = [row for row in those if row["outcome"] != "proven"]
        if unproven:
            yield f"### {FAMILIES[family]}{f': {group}' if group else ''}\n"
            yield from (f"- `{row['name']}` {row['outcome']}: {_brief(row)}" for row in unproven)
            yield ""


def _brief(row: Row) -> str:
    """The likely cause where the refusal names one, else what the first strategy met."""
    first, *others = [line.strip() for line in row["reason"].splitlines() if line.strip()] or [""]
    named = [line.removeprefix("likely cause: ") for line in others if line.startswith("likely")]
    met = [line.partition(": ")[2] for line in others if first.endswith(UNPROVEN)]
    text: str = (named or met or [first])[0]
    return text[:300].replace("|", "\\|")


def write_page(results: Mapping[str, Any]) -> str:
    """The page of the documentation."""
    rows, fewer = results["rows"], json.loads(WITHOUT_TORCHSCRIPT.read_text())["rows"]
    tried = {(row["family"], row["name"]) for row in fewer}
    same = [row for row in rows if (row["family"], row["name"]) in tried]
    return PAGE.format(
        machine=results["machine"],
        table=write_table(rows).rstrip(),
        exporters="\n".join(_exporters(same)),
        left=sum(row["outcome"] == "proven" for row in fewer),
        of=sum(row["outcome"] == "proven" for row in same),
    ).strip()


def _exporters(rows: Sequence[Row]) -> Iterator[str]:
    made = [row["strategy"] for row in rows if row["outcome"] == "proven"]
    kinds = Counter(next(kind for kind in EXPORTERS if name.startswith(kind)) for name in made)
    yield from (f"| {title} | {kinds[kind]} |" for kind, title in EXPORTERS.items())


if __name__ == "__main__":
    print(write_page(json.loads(RESULTS.read_text())))
