"""The reference of the command line as a page, from the application itself.

``python -m onnxpack.cli.reference > docs/reference/cli.md`` writes it, and a test fails when the
page and the application differ. It is drawn from the parameters, not from ``--help``, whose
layout changes with the width of the terminal and the version of typer.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from onnxpack.cli import main

_EXITS = (
    ("0", "all is well"),
    ("1", "the check said no: a report with an error, or a model that could not be proven"),
    ("2", "usage or input: what was typed or given cannot be used"),
    ("3", "an extra or an execution provider is missing"),
    ("70", "a bug in onnxpack; `ONNXPACK_TRACEBACK=1` shows where"),
    ("130", "Ctrl-C"),
    ("141", "whoever read the output went away"),
)
_JSON = (
    "Results go to stdout, errors and notes to stderr. With `--json` stdout holds exactly one "
    'JSON document: the result, or `{"error": …, "kind": …, "remedy": …}`.'
)
_COMPLETION = (
    "`onnxpack --install-completion` sets up completion for the shell that it is typed in, "
    "`--show-completion` prints the script."
)
_TYPERS_OWN = ("install_completion", "show_completion")


def render() -> str:
    """The page in Markdown."""
    application: Any = typer.main.get_command(main.app)
    lines = [
        "# Command line",
        "",
        "<!-- Written by python -m onnxpack.cli.reference; a test holds it to the application. -->",
        "",
        _summary(application),
        "",
        *_options(application),
        "",
        "## Exit codes and JSON",
        "",
        *_table(("code", "meaning"), [(f"`{code}`", text) for code, text in _EXITS]),
        "",
        _JSON,
        "",
        _COMPLETION,
    ]
    for name, command in application.commands.items():
        lines += ["", f"## onnxpack {name}", "", *_command(name, command)]
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [_metavar(p) for p in command.params if p.param_type_name == "argument"]
    yield from (_summary(command), "")
    yield from ("```", " ".join(["onnxpack", name, *arguments, "[OPTIONS]"]), "```", "")
    yield from _options(command)
    example = (command.epilog or "").replace("\b\n", "").removeprefix("Example:\n")
    yield from ("", "```console")
    yield from (f"$ {line.strip()}" for line in example.splitlines())
    yield "```"


def _summary(command: Any) -> str:
    return inspect.cleandoc(command.help or "")


def _options(command: Any) -> list[str]:
    rows = [_row(param) for param in command.params if param.name not in _TYPERS_OWN]
    return _table(("parameter", "default", "meaning"), rows)


def _row(param: Any) -> tuple[str, str, str]:
    if param.param_type_name == "argument":
        return f"`{_metavar(param)}`", "required", param.help or ""
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    takes = "" if param.is_flag else f" `{_metavar(param)}`"
    return names + takes, _default(param), param.help or ""


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if param.is_flag:
        return f"`{param.opts[0]}`" if param.default is True else ""
    return (
        f"`{param.default}`"
        if isinstance(param.default, int | float | str) and param.default
        else ""
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    def line(cells: tuple[str, ...]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return [line(head), f"|{'---|' * len(head)}", *map(line, rows)]


if __name__ == "__main__":
    sys.stdout.write(render())
