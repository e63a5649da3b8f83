"""SECURITY.md names a test for each promise, and these exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    set(re.findall(r"`(tests/[^`]+\.py)(?:::(\w+))?`", (ROOT / "SECURITY.md").read_text()))
)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_a_promise_has_its_test(file, name):
    tree = ast.parse((ROOT / file).read_text())
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not name or name in defined


def test_every_promise_names_one():
    rows = re.findall(r"^\|(?!---)(.*)\|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    lacking = [
        row for row in rows if "`tests/" not in row and not row.endswith((" test ", " tests "))
    ]
    assert not lacking
