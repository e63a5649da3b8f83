"""What the issue asks for, beside what was found."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

MB = 1e6
FAIR, OURS = ("PyTorch", "docker"), ("ONNX", "onnxpack")


def judge(results: Mapping[str, Any]) -> str:
    """A Markdown table: each target, what was found, and whether it was met."""
    lines = ["| target | asked | found | met |", "|---|---|---|---|"]
    for target, asked, found, met in _all(results):
        lines.append(f"| {target} | {asked} | {found} | {'yes' if met else 'no'} |")
    return "\n".join(lines)


def _all(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    rows = {
        (row["image"], row["builder"], row["variant"]): row for row in results["comparison"]["rows"]
    }
    ours = rows[(*OURS, "cpu")]
    yield _most("on disk", ours["size"] / MB, 160, "MB")
    beyond = (ours["compressed"] - results["weights"]) / MB
    yield _most("compressed, beyond the weights", beyond, 48, "MB")
    for name, limit in (("cold", 3.0), ("changed", 0.4), ("nothing_changed", 0.15)):
        seconds = statistics.median(results["builds"][name]["process"])
        build = statistics.median(results["builds"][name]["build"])
        target, asked, found, met = _most(f"build, {name}", seconds, limit, "s", 2)
        yield target, asked, f"{found}, of which the build {build:.2f} s", met
    yield "the same bytes by another user, umask, zone, seed", "yes", "", results["reproduced"]
    push = results["push"]["changed"]
    alone = push["layers"] == 1 and push["model_layer"]
    yield "push of a changed model", "its layer alone", f"{push['layers']} layer", alone
    if ours["start_seconds"] is not None:
        yield _most("docker run to first prediction", ours["start_seconds"], 0.7, "s", 2)
    yield from _against(results, rows, ours)


def _against(
    results: Mapping[str, Any], rows: Mapping[tuple[str, str, str], Any], ours: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, bool]]:
    for variant, times in (("cpu", 7), ("cuda", 30)):
        theirs = rows.get((*FAIR, variant))
        if theirs is not None:
            name = f"smaller than the fair PyTorch image, {variant}"
            yield _least(name, theirs["size"] / ours["size"], times)
    theirs = rows.get((*FAIR, "cpu"))
    if theirs is not None:
        cold = statistics.median(results["builds"]["cold"]["process"])
        yield _least(
            "faster than docker build --no-cache of it", theirs["build_seconds"] / cold, 10
        )


def _most(
    target: str, found: float, limit: float, unit: str, digits: int = 0
) -> tuple[str, str, str, bool]:
    return target, f"≤ {limit:g} {unit}", f"{found:.{digits}f} {unit}", found <= limit


def _least(target: str, found: float, limit: float) -> tuple[str, str, str, bool]:
    return target, f"≥ {limit:g} ×", f"{found:.1f} ×", found >= limit
