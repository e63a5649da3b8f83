"""The runner of pages: it must see a page that lies."""

from __future__ import annotations

import contextlib
import os
import re
import select
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("one\ntwo", "one\ntwo"),
        ("a   b", "a b   "),
        ("size 55.8 MB", "size 1.25 MB"),
        ("max 3.3e-06 PASS", "max 0.0e+00 PASS"),
        ("torch 2.14.1+cu130", "torch 2.15.0+cpu"),
        ("one\n…\nfour", "one\ntwo\nthree\nfour"),
        ("one\n…", "one"),
        ("sha256:" + "0" * 64, "sha256:" + "f" * 64),
        ("ok … here", "ok all is well here"),
    ],
)
def test_outputs_that_are_equal(docs: Any, expected: str, actual: str) -> None:
    docs.same("page", expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("one", "one\ntwo"),
        ("one\ntwo", "one"),
        ("450 of 450", "449 of 450"),
        ("max 3.3e-06 PASS", "max 3.3e-06 FAIL"),
        ("one\n…\nfour", "one\ntwo"),
        ("size 55.8 MB", "size nan MB"),
    ],
)
def test_outputs_that_differ(docs: Any, expected: str, actual: str) -> None:
    with pytest.raises(AssertionError, match=r"the page tells"):
        docs.same("page", expected, actual)


def test_a_block_is_split_into_commands(docs: Any) -> None:
    commands = list(docs.read_commands("a \\\n    -b\n\n# why\nc  # exit 2\n"))
    assert [(c.line, c.code) for c in commands] == [("a -b", 0), ("c  # exit 2", 2)]


def page(docs: Any, text: str, tmp_path: Path) -> Any:
    return docs.Page("page.md", text, tmp_path)


def test_files_python_and_shell_share_a_folder(docs: Any, tmp_path: Path) -> None:
    text = (
        '```python title="made.py"\nVALUE = 7\n```\n'
        "```bash\npython -c 'import made; print(made.VALUE)'\n```\n```text\n7\n```\n"
        "```python\nimport made\nvalue = made.VALUE\n```\n"
        "```python\nprint(value + 1)\n```\n```text\n8\n```\n"
    )
    page(docs, text, tmp_path).run()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\nfalse\n```\n", "page.md:1: false: exit 1"),
        ("```bash\ntrue # exit 1\n```\n", "exit 0"),
        ("```bash\ntrue\necho one\n```\n```text\ntwo\n```\n", "the page tells"),
        ("```shell\ntrue\n```\n", "page.md:1: what is shell?"),
        ("\n\n```python\n1 / 0\n```\n", "page.md:3"),
        ("```python\nprint(1)\n```\n```text\n2\n```\n", "the page tells"),
    ],
)
def test_a_page_that_lies(docs: Any, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        page(docs, text, tmp_path).run()


def test_a_block_that_is_marked_is_not_run(docs: Any, tmp_path: Path) -> None:
    page(docs, "<!-- not run: waits -->\n\n```bash\nfalse\n```\n", tmp_path).run()


def test_what_a_page_leaves_running_is_ended(docs: Any, tmp_path: Path) -> None:
    text = "```bash\nsleep 600 & echo $! > pid\nkill -0 $(cat pid)\nfalse\n```\n"
    with pytest.raises(AssertionError, match="false: exit 1"):
        page(docs, text, tmp_path).run()
    started = int((tmp_path / "pid").read_text())
    with contextlib.suppress(ProcessLookupError), os.fdopen(os.pidfd_open(started)) as process:
        assert select.select([process], [], [], 60)[0]
