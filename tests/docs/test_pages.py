"""Every page that shows commands or Python is run, and tells the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    *sorted(ROOT.glob("examples/*/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
    *sorted((ROOT / "docs/explanation").glob("*.md")),
)


def row(path: Path) -> Any:
    """Pages that build images are one worker's: the first of them fills the user's cache."""
    builds = "$ onnxpack image " in path.read_text()
    marks = [pytest.mark.xdist_group("pages of images")] if builds else []
    return pytest.param(path, marks=marks, id=path.relative_to(ROOT).as_posix())


@pytest.mark.parametrize("path", [row(path) for path in PAGES])
def test_a_page_tells_the_truth(docs: Any, path: Path, tmp_path: Path) -> None:
    docs.open_page(path, tmp_path).run()
