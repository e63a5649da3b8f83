"""The page of what can be exported is the benchmark's own output."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "benchmarks/export/table.py"
RESULTS = ROOT / "benchmarks/export/results/results.json"
LEAST = {
    ("torchvision_models", "float"): 0.97,
    ("torch_modules", ""): 0.9,
    ("transformers_models", ""): 0.9,
    ("keras_models", ""): 0.9,
    ("jax_models", ""): 0.9,
    ("sklearn_estimators", "classifiers"): 0.85,
    ("sklearn_estimators", "regressors"): 0.85,
    ("sklearn_estimators", "transformers"): 0.7,
    ("boosters", ""): 0.9,
}
"""Of each family and group, the share that must be proven."""


def test_the_page_is_what_the_benchmark_wrote() -> None:
    table = runpy.run_path(str(TABLE))
    results = json.loads(RESULTS.read_text())
    page = (ROOT / "docs/reference/frameworks.md").read_text()
    assert page == table["write_page"](results) + "\n", (
        "python benchmarks/export/table.py > docs/reference/frameworks.md"
    )


def test_the_benchmark_found_nothing_wrong() -> None:
    fewer = json.loads((RESULTS.parent / "without_torchscript/results.json").read_text())["rows"]
    bad = [row["name"] for row in (*rows(), *fewer) if row["outcome"] in ("wrong", "failed")]
    assert bad == []


@pytest.mark.parametrize(("group", "share"), LEAST.items())
def test_so_many_are_proven(group: tuple[str, str], share: float) -> None:
    groups = runpy.run_path(str(TABLE))["groups"](rows())
    outcomes = [row["outcome"] for row in groups[group]]
    assert outcomes.count("proven") >= share * len(outcomes)


def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text())["rows"]
    return found
