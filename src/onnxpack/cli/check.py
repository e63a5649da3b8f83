"""``onnxpack check``: is this pack whole, and does it answer here as it was proven to?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command
from onnxpack.cli.verdict import NotOkError
from onnxpack.errors import PackError, ProviderError

if TYPE_CHECKING:
    from onnxpack.pack.model import Pack
    from onnxpack.report import Report

NAME = "check"
EXAMPLE = """Example:
  onnxpack check resnet18
  onnxpack check resnet18 --provider cuda --json"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option(
    "--provider",
    metavar="NAME",
    help="Replay the golden data on this provider alone; by default on each that works here.",
)
@parameters.json("Print the findings as JSON.")
def command(pack: Path, provider: str | None, json: bool) -> None:
    """Check a pack and replay its golden data here.

    Its structure, every digest and its evidence are checked, then its answers.
    All findings are shown, not the first. The exit code is 1 when one of them is an error.
    """
    report = _examine(pack, provider)
    if json:
        say.emit({"ok": report.ok, "findings": report.findings})
    else:
        from onnxpack.cli import show

        show.report(report, title=str(pack))
    if not report.ok:
        raise NotOkError


def _examine(path: Path, provider: str | None) -> Report:
    from onnxpack.pack.read import open_pack
    from onnxpack.pack.validate import validate
    from onnxpack.report import error, report, warning

    try:
        pack = open_pack(path)
    except PackError as exc:
        if not path.exists():
            raise
        return report([error("pack", exc.message, exc.remedy)])
    found = validate(pack)
    if not found.ok:
        return found + report([warning("golden data", "not replayed: the pack is not whole")])
    return found + _replay(pack, provider)


def _replay(pack: Pack, provider: str | None) -> Report:
    from onnxpack.report import Report, error, report, warning
    from onnxpack.runtime.providers import survey

    if provider is not None:
        return _prove(pack, provider)
    if not pack.golden:
        return report([warning("golden data", "there is none, so no answer was compared")])
    found = Report(())
    for status in survey():
        if not status.works:
            continue
        try:
            found += _prove(pack, status.short)
        except ProviderError as exc:
            found += report([warning(status.short, exc.message, exc.remedy)])
        except PackError as exc:
            found += report([error(status.short, exc.message, exc.remedy)])
    return found


def _prove(pack: Pack, provider: str) -> Report:
    """The replay on one provider, each finding under its name."""
    import msgspec

    from onnxpack.report import report
    from onnxpack.runtime.model import Model

    model = Model(pack, provider=provider)
    return report(
        msgspec.structs.replace(finding, subject=f"{model.provider}: {finding.subject}")
        for finding in model.prove().findings
    )
