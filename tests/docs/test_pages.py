"""Every page that shows commands or Python is run, and tells the truth.

After a change of outputs that is meant, write them anew and read the difference::

    REWRITE_PAGES=1 python -m pytest tests/docs/test_pages.py && git diff
"""

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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_tells_the_truth(docs: Any, path: Path, tmp_path: Path) -> None:
    docs.open_page(path, tmp_path).run()
