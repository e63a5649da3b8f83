"""Write the reference page of the command line from the application itself.

``python -m onnxpack.cli.reference > docs/reference/cli.md`` writes it, and a test fails if the page
and the application differ. The page is made from the parameters, not from ``--help``, whose layout
changes with the terminal's width and the version of click.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence

import click

from onnxpack.cli import main
from onnxpack.cli.command import Argument, Command
from onnxpack.cli.commands import MODULES, load

_EXITS = (
    ("0", "all is well"),
    ("1", "the check failed: a report with an error, or a model that could not be proven"),
    ("2", "wrong usage or input: an option, argument or file cannot be used"),
    ("3", "an extra or an execution provider is missing"),
    ("4", "`check` found no error, and nothing that proves the pack, such as golden data"),
    ("70", "a bug in onnxpack; `ONNXPACK_TRACEBACK=1` shows where"),
    ("130", "Ctrl-C"),
    ("141", "the reader of the output closed it, as `head` does"),
)
_JSON = (
    "Results go to stdout, errors and notes to stderr. With `--json` stdout holds exactly one "
    'JSON document: the result, or `{"error": …, "kind": …, "remedy": …}`.'
)
_COMPLETION = (
    "[`onnxpack completion`](#onnxpack-completion) prints the script that completes commands and "
    "options in bash, zsh or fish."
)


def render() -> str:
    """Return the reference page in Markdown."""
    lines = [
        "# Command line",
        "",
        (
            "<!-- Written by python -m onnxpack.cli.reference; a test compares it with the "
            "application. -->"
        ),
        "",
        _summary(main.app),
        "",
        *_options(main.app),
        "",
        "## Exit codes and JSON",
        "",
        *_table(("code", "meaning"), [(f"`{code}`", text) for code, text in _EXITS]),
        "",
        _JSON,
        "",
        _COMPLETION,
    ]
    for name in MODULES:
        lines += ["", f"## onnxpack {name}", "", *_command(name, load(name))]
    return "\n".join(lines) + "\n"


def _command(name: str, command: Command) -> Iterator[str]:
    arguments = [_metavar(each) for each in command.params if isinstance(each, Argument)]
    yield from (_summary(command), "")
    yield from ("```", " ".join(["onnxpack", name, *arguments, "[OPTIONS]"]), "```", "")
    yield from _options(command)
    yield from ("", "```bash")
    yield from (line.removeprefix("  ") for line in command.example.splitlines()[1:])
    yield "```"


def _summary(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _options(command: click.Command) -> list[str]:
    return _table(("parameter", "default", "meaning"), list(map(_row, command.params)))


def _row(param: click.Parameter) -> tuple[str, str, str]:
    if isinstance(param, Argument):
        return f"`{_metavar(param)}`", "required", param.meaning
    if not isinstance(param, click.Option):
        raise TypeError(f"{param.name} is neither an argument with a meaning nor an option.")
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    takes = "" if param.is_flag else f" `{_metavar(param)}`"
    return names + takes, _default(param), param.help or ""


def _metavar(param: click.Parameter) -> str:
    return param.metavar or str(param.name).upper()


def _default(param: click.Option) -> str:
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
