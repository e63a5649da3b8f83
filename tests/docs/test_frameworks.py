"""The page of what can be exported is the benchmark's own output."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_benchmark_wrote() -> None:
    table = runpy.run_path(str(ROOT / "benchmarks/export/table.py"))
    results = json.loads(table["RESULTS"].read_text())
    page = (ROOT / "docs/reference/frameworks.md").read_text()
    assert page == table["write_page"](results) + "\n", (
        "python benchmarks/export/table.py > docs/reference/frameworks.md"
    )


def test_the_benchmark_found_nothing_wrong() -> None:
    results = json.loads((ROOT / "benchmarks/export/results/results.json").read_text())
    bad = [row["name"] for row in results["rows"] if row["outcome"] in ("wrong", "failed")]
    assert bad == []
