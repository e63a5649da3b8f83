"""``onnxpack doctor``: find what slows models down on this machine, or stops them."""

from __future__ import annotations

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command, NotOkError

NAME = "doctor"
EXAMPLE = """Example:
  onnxpack doctor
  onnxpack doctor --json"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.json("Print the findings as JSON.")
def command(json: bool) -> None:
    """Find what slows models down on this machine, or stops them.

    Checks cores, CPU quota, threads, conflicting wheels and missing libraries. The exit code is 1
    if something stops models from running.
    """
    from onnxpack.runtime.doctor import examine

    report = examine()
    if json:
        say.emit({"ok": report.ok, "findings": report.findings})
    else:
        from onnxpack.cli import show

        show.report(report, title="this machine")
    if not report.ok:
        raise NotOkError
