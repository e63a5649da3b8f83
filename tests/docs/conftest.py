"""Pages whose blocks are run as a reader would run them. CONTRIBUTING.md tells the convention."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SESSION = Path(__file__).with_name("session.py")

_FENCE = re.compile(
    r"^```(?P<language>\w+)(?: +(?P<options>[^\n]*))?\n(?P<content>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- not run: (?:(?!-->).)+-->\s*\Z", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_EXIT = re.compile(r"# exit (\d+)\s*$")
# What is measured may be any number: 3.3e-06, 55.8, 2.14.1+cu130; whole numbers are themselves.
_MEASURED = re.compile(r"\d+(?:\.\d+)+(?:\+\w+)?(?:e[+-]?\d+)?|\d+e[+-]?\d+")
_ANY_NUMBER = r"[\d.]+(?:\+\w+)?(?:e[+-]?\d+)?"
_NOISE = re.compile(r", [\d.]+(?:e[+-]?\d+)? as noise")
"""What rounds differently from machine to machine: a line of `check` has it here and not there."""
SHOWN = {"text", "json", "yaml", "toml", "ini", "nginx"}
"""Languages of blocks that are not run."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ANY_DIGEST = "[0-9a-f]{64}"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page that is to be run, or the output of the one before."""

    where: str
    language: str
    content: str
    title: str | None
    run: bool


@dataclass(frozen=True)
class Command:
    """A line of a ``bash`` block, with the exit code that the page announces."""

    line: str
    code: int


def read_blocks(text: str, name: str) -> list[Block]:
    """The fenced blocks of a page, in order; those that are its own output stay in it."""
    blocks = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["options"] or "")
        blocks.append(
            Block(
                where=f"{name}:{text.count(chr(10), 0, match.start()) + 1}",
                language=match["language"],
                content=match["content"],
                title=title[1] if title else None,
                run=not _NOT_RUN.search(text[: match.start()]),
            )
        )
    return blocks


def read_commands(content: str) -> Iterator[Command]:
    """The commands of a block; a line that ends in a backslash goes on in the next."""
    for line in re.sub(r"\\\n\s*", "", content).splitlines():
        if line.strip() and not line.startswith("#"):
            code = _EXIT.search(line)
            yield Command(line, int(code[1]) if code else 0)


def as_pattern(expected: str) -> str:
    """What an expected output stands for: ``…`` is anything, measured numbers are any number."""
    lines = _NOISE.sub("", expected).strip("\n").splitlines()
    return "".join(r"(?:.*\n)*?" if line.strip() == "…" else _line(line) + r"\n" for line in lines)


def plain(output: str) -> str:
    """An output with its runs of blanks made one, as the pattern wants it."""
    lines = _NOISE.sub("", output).strip("\n").splitlines()
    return "".join(f"{' '.join(line.split())}\n" for line in lines)


def _line(line: str) -> str:
    def whole(text: str) -> str:
        return ".*".join(map(re.escape, text.split("…")))

    def numbers(text: str) -> str:
        return _ANY_NUMBER.join(map(whole, _MEASURED.split(text)))

    return _ANY_DIGEST.join(map(numbers, _DIGEST.split(" ".join(line.split()))))


class Page:
    """A page and the folder in which its reader works.

    Args:
        name: for messages.
        text: of the page.
        folder: where its commands run, and its files are written.
        rewrite: writes the page anew where it shows other outputs than those that were printed;
            None to fail there.
    """

    def __init__(
        self, name: str, text: str, folder: Path, rewrite: Callable[[str], object] | None = None
    ) -> None:
        self.blocks = read_blocks(text, name)
        self._folder, self._text, self._rewrite = folder, text, rewrite
        self._left_running: list[int] = []

    def run(self) -> None:
        """Run every block, in order, and end what is left running."""
        try:
            self._run()
        finally:
            for group in self._left_running:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGTERM)

    def _run(self) -> None:
        with self._python() as ask:
            for number, block in enumerate(self.blocks):
                following = self.blocks[number + 1 : number + 2]
                if not block.run:
                    continue
                if block.title:
                    (self._folder / block.title).write_text(block.content)
                    continue
                if block.language == "bash":
                    printed = self._run_commands(block)
                elif block.language == "python":
                    printed = ask(block)
                else:
                    assert block.language in SHOWN, f"{block.where}: what is {block.language}?"
                    continue
                if following and following[0].language == "text" and following[0].run:
                    self._compare(block.where, following[0].content, printed)

    def _run_commands(self, block: Block) -> str:
        """The output of the last one, which is what the page shows below."""
        output = ""
        for command in read_commands(block.content):
            code, output = self._bash(command.line)
            assert code == command.code, f"{block.where}: {command.line}: exit {code}\n{output}"
        return output

    def _compare(self, where: str, expected: str, actual: str) -> None:
        if self._rewrite is None or re.fullmatch(as_pattern(expected), plain(actual)):
            same(where, expected, actual)
            return
        self._text = self._text.replace(expected.strip("\n"), actual.strip("\n"))
        self._rewrite(self._text)

    def _bash(self, line: str) -> tuple[int, str]:
        """The exit code and output of a line; what it leaves in the background is remembered."""
        # Not a pipe: that would only end with what is left in the background.
        with tempfile.TemporaryFile() as said:
            bash = subprocess.Popen(
                ["bash", "-c", line],
                cwd=self._folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code = bash.wait()
            with suppress(ProcessLookupError):
                os.killpg(bash.pid, 0)
                self._left_running.append(bash.pid)
            said.seek(0)
            return code, said.read().decode()

    @contextmanager
    def _python(self) -> Iterator[Any]:
        """A Python of the page's own; it starts when the first block is asked of it."""
        started: list[subprocess.Popen[str]] = []

        def ask(block: Block) -> str:
            if not started:
                started.append(_start_python(self._folder))
            pipe = started[0]
            assert pipe.stdin
            assert pipe.stdout
            print(json.dumps({"code": block.content, "where": block.where}), file=pipe.stdin)
            pipe.stdin.flush()
            answer = json.loads(pipe.stdout.readline())
            assert not answer["failed"], f"{block.where}:\n{answer['printed']}"
            return str(answer["printed"])

        try:
            yield ask
        finally:
            for pipe in started:
                pipe.communicate()


def open_page(path: Path, folder: Path) -> Page:
    """A page of the repository.

    The README's reader stands in a clone with its examples, and an example's reader in the
    example's folder.
    """
    examples = ROOT / "examples"
    if path.parent in (ROOT, *examples.iterdir()):
        for file in examples.glob("*/*"):
            if file.is_file() and file != path:
                copy = folder / file.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    where = folder / path.parent.relative_to(ROOT) if path.parent.parent == examples else folder
    where.mkdir(parents=True, exist_ok=True)
    rewrite = path.write_text if os.environ.get("REWRITE_PAGES") else None
    return Page(path.relative_to(ROOT).as_posix(), path.read_text(), where, rewrite)


def same(where: str, expected: str, actual: str) -> None:
    """Hold an output against what the page tells."""
    assert re.fullmatch(as_pattern(expected), plain(actual)), (
        f"{where}\n--- the page tells\n{expected}\n--- in truth\n{actual}"
    )


def _start_python(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SESSION],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _environment() -> dict[str, str]:
    """A shell in which ``python`` and ``onnxpack`` are those that are tested."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


@pytest.fixture
def docs() -> Any:
    """The runner, for the tests of itself."""
    return sys.modules[__name__]
