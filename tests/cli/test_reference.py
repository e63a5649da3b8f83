"""The reference page is what the application says."""

from __future__ import annotations

from pathlib import Path

from onnxpack.cli import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference.render(), (
        "python -m onnxpack.cli.reference > docs/reference/cli.md"
    )


def test_every_parameter_is_explained() -> None:
    rows = [line for line in reference.render().splitlines() if line.startswith("| `")]
    assert all(row.rstrip(" |").count("|") >= 1 and not row.endswith("|  |") for row in rows)
