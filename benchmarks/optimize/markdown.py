"""The results as Markdown: what was asked and found, then a section for each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from goals import Run, found_runs, judge_goals


def write_table(results: Mapping[str, Any]) -> str:
    """Return the page."""
    cases = {name: case for name, case in results["cases"].items() if "timings" in case}
    lines = ["# optimize, measured", "", "`make bench-optimize` writes this page.", ""]
    lines += _about(cases)
    lines += [f"- {note}" for note in results.get("notes", ())] + [""]
    lines += ["## Asked and found", "", *_goals(cases), ""]
    for case in cases.values():
        lines += [f"## {case['name']}", "", *_case(case)]
    for name in results["cases"].keys() - cases.keys():
        lines += [f"## {name}", "", "Stopped before it was done: no figures.", ""]
    lines += ["## Olive", "", *_olive(results.get("olive"))]
    return "\n".join(lines)


def _about(cases: Mapping[str, Any]) -> Iterator[str]:
    first = next(iter(cases.values()), None)
    if first is None:
        return
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    loads = [each for case in cases.values() for each in case["load"]]
    yield f"{first['processor']} ({', '.join(first['features'])}), {first['threads']} threads."
    yield f"{versions}."
    yield ""
    yield (
        "All ways of one model are timed in turn, one row a call, in one run; a ratio stands with "
        "its 95 % interval. Kept is the share of answers that stay what they were, and the lower "
        "bound of its one-sided 95 % interval. Unseen rows are a third of all, which optimize was "
        "not given."
    )
    yield ""
    if max(loads) > 0.3:
        yield (
            f"The machine was busy: {min(loads):.1f} to {max(loads):.1f} processes a core ran or "
            "waited, those of the benchmark included. Then PyTorch's threads wait for each other "
            "far longer than others do, so ratios to it are too large; those of the fastest calls "
            "are nearer to an idle machine's. Seconds are longer than there."
        )
        yield ""


def _goals(cases: Mapping[str, Any]) -> Iterator[str]:
    yield "| asked | found | met |"
    yield "|---|---|---|"
    for goal in judge_goals(cases):
        yield f"| {goal.asked} | {goal.found} | {goal.met} |"


def _case(case: Mapping[str, Any]) -> Iterator[str]:
    rows = case["rows"]
    yield f"Weights: {case['weights']}. {rows['given']} rows given, {rows['unseen']} unseen. "
    yield f"The pack's graph has {case['size'] / 1e6:.2f} MB."
    yield ""
    runs = list(found_runs(case))
    yield from _speeds(case, runs)
    yield ""
    yield from _runs(runs)
    yield ""
    yield from _exhaustive(case)
    if case.get("traps"):
        yield from _traps(case["traps"])


def _speeds(case: Mapping[str, Any], runs: Sequence[Run]) -> Iterator[str]:
    chosen: dict[str, list[str]] = {}
    for run in runs:
        chosen.setdefault(run.timed_as, []).append(run.name)
    yield (
        "| way | ms, median | ms, fastest call | to the framework's usual way | to the pack "
        "| chosen by |"
    )
    yield "|---|---|---|---|---|---|"
    for row in case["timings"]:
        fastest = f"{row['fastest_ms']:.3g}" if "fastest_ms" in row else ""
        yield (
            f"| {row['name']} | {row['ms']:.3g} | {fastest} | {_ratio(row['to_framework'])} "
            f"| {_ratio(row['to_pack'])} | {', '.join(chosen.get(row['name'], ()))} |"
        )
    for name, why in case["failures"].items():
        yield f"| {name} | failed | | | | {why[:120]} |"


def _runs(runs: Sequence[Run]) -> Iterator[str]:
    yield (
        "| optimize with | --max-loss | chosen | kept, at least | of unseen rows | MB | seconds "
        "| of the best | of the exhaustive run's time | opening: base, chosen, added s |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for run in runs:
        if run.failure:
            yield f"| {run.runtimes} | {run.max_loss} | {run.failure} | | | | | | | |"
            continue
        yield (
            f"| {run.runtimes} | {run.max_loss} | {run.variant or 'the base'} | {run.kept} "
            f"| {run.unseen} | {run.megabytes} | {run.seconds:.0f} | {run.share:.2f} "
            f"| {_share(run.time_share)} | {run.loads} |"
        )


def _exhaustive(case: Mapping[str, Any]) -> Iterator[str]:
    found = case["exhaustive"]
    without = "" if found["mixes"] else ", without graphs that leave layers in float32"
    yield "<details><summary>The exhaustive run: "
    seconds = "time not measured" if found["seconds"] is None else f"{found['seconds']:.0f} s"
    yield f"{len(found['plans'])} plans, {seconds}{without}</summary>"
    yield ""
    yield "| plan | to the pack | kept | at least | exact | MB | seconds |"
    yield "|---|---|---|---|---|---|---|"
    for plan in sorted(found["plans"], key=lambda each: -each["ratio"]):
        if plan["failure"]:
            yield f"| {plan['name']} | failed | | | | | {plan['seconds']:.0f} |"
            continue
        yield (
            f"| {plan['name']} | {plan['ratio']:.2f} | {plan['value']:.3f} | {plan['lower']:.3f} "
            f"| {'yes' if plan['exact'] else ''} | {plan['size'] / 1e6:.2f} "
            f"| {plan['seconds']:.0f} |"
        )
    yield ""
    yield "</details>"
    yield ""


def _traps(traps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "Recipes as they are published, on onnxruntime:"
    yield ""
    yield "| recipe | to the pack | measure | kept | at least | cosine | MB |"
    yield "|---|---|---|---|---|---|---|"
    for trap in traps:
        if "failure" in trap:
            yield f"| {trap['name']} | failed: {trap['failure'][:100]} | | | | | |"
            continue
        cosine = trap["figures"].get("cosine")
        yield (
            f"| {trap['name']} | {_ratio([trap['ratio'], *trap['interval']])} | {trap['measure']} "
            f"| {trap['value']:.3f} | {trap['lower']:.3f} "
            f"| {'' if cosine is None else f'{cosine:.4f}'} | {trap['size'] / 1e6:.1f} |"
        )
    yield ""


def _share(found: float | None) -> str:
    return "not measured" if found is None else f"{found:.2f}"


def _ratio(found: Sequence[float]) -> str:
    value, low, high = found
    return f"{value:.2f} ({low:.2f}–{high:.2f})"


def _olive(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield "Not run: `benchmarks/optimize/olive_peer.py VENV` adds it."
        yield ""
        return
    yield f"Olive {found['version']}, in its own environment, on the same graphs:"
    yield ""
    yield "| model | `olive optimize --precision` | to the pack | kept | at least | MB | seconds |"
    yield "|---|---|---|---|---|---|---|"
    for row in found["rows"]:
        start = f"| {row['case']} | {row['precision']} "
        if "failure" in row:
            yield f"{start}| failed: {row['failure'][:160]} | | | | {row['seconds']:.0f} |"
            continue
        ratio = _ratio([row["ratio"], *row["interval"]])
        yield (
            f"{start}| {ratio} | {row['measure']} {row['value']:.3f} | {row['lower']:.3f} "
            f"| {row['size'] / 1e6:.1f} | {row['seconds']:.0f} |"
        )
    yield ""
    yield (
        "For int8 it calibrates on the text of Salesforce/wikitext, whatever the model is, which "
        "it downloads; no accuracy is measured."
    )
    yield ""
