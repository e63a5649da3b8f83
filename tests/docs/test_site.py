"""The site builds without a warning, and holds what it should."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
# What a browser would fetch on its own: links may lead anywhere.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]+src="(https?:[^"]+)|<link[^>]+rel="stylesheet"[^>]+href="(https?:[^"]+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", to],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return to


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").glob("**/*.md")]
    for page in pages:
        built = page.parent if page.stem == "index" else page.with_suffix("")
        assert (site / built / "index.html").is_file()


def test_every_page_is_in_the_navigation() -> None:
    written = (ROOT / "mkdocs.yml").read_text()
    for path in (ROOT / "docs").glob("**/*.md"):
        assert re.search(rf" {path.relative_to(ROOT / 'docs').as_posix()}$", written, re.MULTILINE)


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    for path in site.glob("**/*.html"):
        assert not _FETCHED.findall(path.read_text()), path


def test_the_python_reference_is_up_to_date() -> None:
    made = load(ROOT / "docs" / "make_api.py").render()
    assert (ROOT / "docs/reference/python.md").read_text() == made, (
        "python docs/make_api.py > docs/reference/python.md"
    )


def test_the_picture_of_the_terminal() -> None:
    script = load(ROOT / "docs" / "make_terminal.py")
    picture = ET.parse(script.PICTURE).getroot()
    text = "".join(picture.itertext()).replace("\N{NO-BREAK SPACE}", " ")
    for command in script.COMMANDS:
        for line in command.splitlines():
            assert line in text
    assert "tiger cat" in text
    assert "@font-face" not in text


def test_the_changelog_has_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(
        rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
