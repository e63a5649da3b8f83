"""The command line, and the only place that turns exceptions into messages and exit codes.

Exit codes: 0 success; 1 a check failed; 2 wrong usage or input; 3 an extra or a provider is
missing; 4 a pack was checked and nothing proves it; 70 a bug in onnxpack; 130 Ctrl-C; 141 the
reader of the output went away.

Errors go to stderr as text. With ``--json``, stdout has exactly one JSON document in both cases:
the result, or ``{"error": …, "kind": …, "remedy": …}``.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from pathlib import Path

import click

from onnxpack.cli import say
from onnxpack.cli.command import NotOkError, NotProvenError
from onnxpack.cli.commands import COMPLETE, PROGRAM, Commands
from onnxpack.cli.here import suggest
from onnxpack.errors import (
    ExportError,
    ImageError,
    MissingExtraError,
    OnnxpackError,
    OptimizeError,
    PackError,
    ProviderError,
    RegistryError,
    UsageError,
    WorkerError,
)

BUG, INTERRUPTED, NO_READER = 70, 130, 141
_CODES: tuple[tuple[type[Exception], int], ...] = (
    (NotOkError, 1),
    (NotProvenError, 4),
    (ExportError, 1),
    (OptimizeError, 1),
    (WorkerError, 1),
    (UsageError, 2),
    (PackError, 2),
    (ImageError, 2),
    (RegistryError, 2),
    (MissingExtraError, 3),
    (ProviderError, 3),
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version

    say.out(f"onnxpack {version('onnxpack')}")
    context.exit()


@click.group(
    PROGRAM,
    cls=Commands,
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
    epilog="\b\nExample:\n  onnxpack export torchvision:resnet18 --sample 1x3x224x224 -o resnet18\n"
    "  onnxpack run resnet18 --input random",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.pass_context
def app(context: click.Context) -> None:
    """Export trained models to ONNX packs with proven predictions, and run them."""
    if context.invoked_subcommand is None:
        say.write(context.get_help())
        lines = suggest(Path.cwd())
        if lines:
            say.write("\nIn this folder:")
            for line in lines:
                say.out(f"  {line}")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without × still gets output
    try:
        code = _invoke(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_quietly()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - the boundary
        return _tell(exc, argv)
    return code


def _invoke(argv: list[str]) -> int:
    """Run a command as click would, but let the error of a broken pipe reach the caller.

    Versions of click treat broken pipes differently, so ``main`` handles them.
    """
    asked = os.environ.get(COMPLETE)
    if asked:
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, PROGRAM, COMPLETE, asked)
    try:
        with app.make_context(PROGRAM, list(argv)) as context:
            app.invoke(context)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    return 0


def _leave_quietly() -> int:
    """Redirect stdout to /dev/null and return the exit code, after the reader went away.

    Otherwise flushing the buffered output would raise an error at exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return NO_READER


def _tell(exc: Exception, argv: list[str]) -> int:
    if isinstance(exc, (NotOkError, NotProvenError)):
        return dict(_CODES)[type(exc)]
    if os.environ.get("ONNXPACK_TRACEBACK") or "--verbose" in argv:
        import traceback

        traceback.print_exception(exc)
    message, remedy, code = _words(exc, argv)
    say.complain(message, remedy)
    if "--json" in argv:
        say.emit({"error": message, "kind": _kind(exc), "remedy": remedy})
    return code


def _with_option(argv: list[str], option: str) -> str:
    """Return the command line with an option added or replaced; empty without an option."""
    if not option:
        return ""
    name, *value = shlex.split(option)
    kept: list[str] = []
    for word in argv:
        if kept[-1:] == [name] and value:
            kept.pop()
        elif not word.startswith(f"{name}="):
            kept.append(word)
    return shlex.join([PROGRAM, *kept, name, *value])


def _kind(exc: Exception) -> str:
    """Return the name of the documented error class that an exception belongs to."""
    public = (kind for kind in type(exc).__mro__ if kind.__module__ == OnnxpackError.__module__)
    return next(public, type(exc)).__name__


def _words(exc: Exception, argv: list[str]) -> tuple[str, str, int]:
    if isinstance(exc, OnnxpackError):
        code = next((code for kind, code in _CODES if isinstance(exc, kind)), BUG)
        return exc.message, _with_option(argv, exc.option) or exc.remedy, code
    if isinstance(exc, click.ClickException):
        context = getattr(exc, "ctx", None)
        where = context.command_path if context else PROGRAM
        return exc.format_message(), f"{where} --help", 2
    if isinstance(exc, OSError) and exc.errno in _FULL:
        return f"the output cannot be written: {exc.strerror}.", "", 2
    line = shlex.join([PROGRAM, *argv])
    return (
        f"a bug in onnxpack: {type(exc).__name__}: {exc}",
        f"ONNXPACK_TRACEBACK=1 {line}   # shows where; please report it",
        BUG,
    )
