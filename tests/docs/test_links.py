"""Links between the pages of the repository lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("examples/*/*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def links(path: Path) -> Iterator[tuple[str, str]]:
    """The file and the anchor of each link inside the repository."""
    for target in _LINK.findall(_FENCED.sub("", path.read_text())):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(path: Path) -> set[str]:
    """The anchors that a page's headings get."""
    plain = (re.sub(r"[`*]", "", text) for text in _HEADING.findall(path.read_text()))
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in plain}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_resolve(path: Path) -> None:
    for file, anchor in links(path):
        found = path.parent / file if file else path
        assert found.exists(), f"{path.relative_to(ROOT)} links to {file}"
        if anchor:
            assert anchor in anchors(found), f"{path.relative_to(ROOT)} links to {file}#{anchor}"


def test_pages_were_found() -> None:
    assert {"README.md", "tutorial.md", "cli.md"} <= {path.name for path in PAGES}
