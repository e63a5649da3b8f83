"""The reference of the Python interface as a page, from the docstrings.

``python docs/make_api.py > docs/reference/python.md`` writes it, and a test fails when the page
and the code differ.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import onnxpack
from onnxpack.benchmark.outcome import Outcome, Point, Row, Start
from onnxpack.image.additions import Additions
from onnxpack.image.build import Built, Recipe, build_image
from onnxpack.image.publish import Published, publish
from onnxpack.oci.registry.connection import Connection
from onnxpack.optimizer.audit import Audited
from onnxpack.optimizer.optimize import Optimized
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.model import GoldenSet
from onnxpack.parity.check import Checked
from onnxpack.report import Finding, Level, Report
from onnxpack.testing import ExporterContract, Given

SECTIONS = {
    "Making and running": (onnxpack.export, onnxpack.Model, onnxpack.open_pack),
    "Measuring": (onnxpack.bench, Outcome, Point, Row, Start),
    "Faster graphs": (onnxpack.optimize, Optimized, Trial, Verdict, onnxpack.audit, Audited),
    "Serving": (onnxpack.serve, onnxpack.Settings),
    "What they are made of": (
        onnxpack.Pack,
        GoldenSet,
        onnxpack.Signature,
        onnxpack.TensorSpec,
        onnxpack.Preprocess,
        onnxpack.Tolerance,
    ),
    "Images": (build_image, Recipe, Additions, Connection, Built, publish, Published),
    "Checking": (onnxpack.check, Checked, Report, Finding, Level),
    "Testing an exporter": (ExporterContract, Given),
}
INTRODUCTION = """# Python

<!-- Written by docs/make_api.py; a test holds it to the docstrings. -->

`import onnxpack` loads neither PyTorch nor ONNX Runtime: each name loads what it needs when it is
first used. Errors are [a page of their own](errors.md)."""

LINE = 96
_HEADED = ("Args", "Attributes", "Raises", "Returns")
_ITEM = re.compile(r"(?P<name>[\w*]+): (?P<text>.*)")


def render() -> str:
    """The page in Markdown."""
    lines = [INTRODUCTION]
    for title, things in SECTIONS.items():
        lines += ["", f"## {title}"]
        for thing in things:
            lines += ["", *_thing(thing)]
    return "\n".join(lines) + "\n"


def _thing(thing: Any) -> Iterator[str]:
    yield f"### {_name(thing)}"
    yield ""
    if thing is not Level:
        yield from _code(_name(thing), thing)
    yield from _text(thing)
    if thing is Level:
        yield ""
        yield from (f"- `Level.{level.name}`, in JSON `{level.value}`" for level in Level)
        return
    for name, member in vars(thing).items() if inspect.isclass(thing) else ():
        if not _is_public(name, member):
            continue
        yield ""
        if isinstance(member, property):
            yield f"#### {thing.__name__}.{name}"
            yield ""
            yield from _text(member)
        else:
            called = name == "__call__"
            yield f"#### {thing.__name__}{'(…)' if called else f'.{name}()'}"
            yield ""
            yield from _code("model" if called else name, member, bound=True)
            yield from _text(member)


def _name(thing: Any) -> str:
    home = "onnxpack" if thing.__name__ in onnxpack.__all__ else thing.__module__
    return f"{home}.{thing.__name__}"


def _is_public(name: str, member: Any) -> bool:
    if name != "__call__" and name.startswith("_"):
        return False
    return isinstance(member, property) or inspect.isfunction(member)


def _code(name: str, thing: Any, *, bound: bool = False) -> Iterator[str]:
    signature = inspect.signature(thing)
    returned = signature.return_annotation
    arrow = "" if inspect.isclass(thing) or returned is signature.empty else f" -> {returned}"
    parts = _parameters(thing, list(signature.parameters.values())[1 if bound else 0 :])
    line = f"{name}({', '.join(parts)}){arrow}"
    yield "```python"
    if len(line) <= LINE:
        yield line
    else:
        yield f"{name}("
        yield from (f"    {part}," for part in parts)
        yield f"){arrow}"
    yield "```"
    yield ""


def _parameters(thing: Any, parameters: list[inspect.Parameter]) -> list[str]:
    """Each parameter as the source has it."""
    written = inspect.get_annotations(thing)
    parts = []
    for parameter in parameters:
        keyword = parameter.kind is parameter.KEYWORD_ONLY
        starred = any(part.startswith("*") for part in parts)
        if keyword and not starred:
            parts.append("*")
        annotation = written.get(parameter.name, parameter.annotation)
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        parts.append(f"{stars}{parameter.name}: {annotation}{default}")
    return parts


def _text(thing: Any) -> Iterator[str]:
    """A docstring, its sections as lists."""
    headed = ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        heading = line.removesuffix(":")
        if line.endswith(":") and heading in _HEADED:
            headed = heading
            yield f"**{'Takes' if heading == 'Args' else heading}**"
            yield ""
        elif headed and line and not line.startswith(" "):
            headed = ""
            yield _inline(line)
        elif headed == "Returns":
            yield _inline(line.strip())
        elif headed:
            yield from _item(line)
        else:
            yield _inline(line)


def _item(line: str) -> Iterator[str]:
    match = _ITEM.match(line.removeprefix("    ")) if not line.startswith(" " * 5) else None
    if match:
        yield f"- `{match['name']}`: {_inline(match['text'])}"
    else:
        yield f"  {_inline(line.strip())}" if line.strip() else ""


def _inline(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


if __name__ == "__main__":
    sys.stdout.write(render())
