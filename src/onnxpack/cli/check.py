"""``onnxpack check``: check that a pack is complete, and reproduce its answers here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command, NotOkError
from onnxpack.errors import PackError, ProviderError

if TYPE_CHECKING:
    from onnxpack.pack.model import Pack
    from onnxpack.report import Finding, Report

MakeFinding: TypeAlias = "Callable[[str, str, str], Finding]"

NAME = "check"
EXAMPLE = """Example:
  onnxpack check resnet18
  onnxpack check resnet18 --provider cuda --json
  onnxpack check resnet18 --variant int8"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option(
    "--provider",
    metavar="NAME",
    help="Replay the golden data only on this provider; by default on every provider that works "
    "here.",
)
@click.option(
    "--variant",
    metavar="NAME",
    default="auto",
    help="Replay only this variant, or only the base; by default all of them.",
)
@parameters.json("Print the findings as JSON.")
def command(pack: Path, provider: str | None, variant: str, json: bool) -> None:
    """Check a pack and replay its golden data here.

    The structure, every digest and the evidence are checked, then the answers of the pack and of
    its variants. If a variant does not replay here, this is a warning, because the base then
    answers; it is an error if --variant names the variant. All findings are shown, not only the
    first. The exit code is 1 if a finding is an error.
    """
    report = _examine(pack, provider, variant)
    if json:
        say.emit({"ok": report.ok, "findings": report.findings})
    else:
        from onnxpack.cli import show

        show.report(report, title=str(pack))
    if not report.ok:
        raise NotOkError


def _examine(path: Path, provider: str | None, variant: str) -> Report:
    from onnxpack.pack.read import open_pack
    from onnxpack.pack.validate import validate
    from onnxpack.report import error, report, warning
    from onnxpack.runtime.providers import AUTO
    from onnxpack.runtime.variants import BASE

    try:
        pack = open_pack(path)
    except PackError as exc:
        if not path.exists():
            raise
        return report([error("pack", exc.message, exc.remedy)])
    found = validate(pack)
    if not found.ok:
        return found + report([warning("golden data", "not replayed: the pack has errors")])
    if variant == AUTO:
        return found + _replay_base(pack, provider) + _replay_variants(pack, provider)
    if variant == BASE:
        return found + _replay_base(pack, provider)
    return found + _replay_variant(pack, variant, provider or AUTO, error)


def _replay_base(pack: Pack, provider: str | None) -> Report:
    from onnxpack.report import Report, error, report, warning
    from onnxpack.runtime.providers import survey

    if provider is not None:
        return _prove(pack, provider)
    if not pack.golden:
        return report([warning("golden data", "the pack has none, so no answers were compared")])
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


def _replay_variants(pack: Pack, provider: str | None) -> Report:
    """Replay each variant on its own; variants are for the CPU."""
    from onnxpack.report import Report, warning

    found = Report(())
    if provider in (None, "auto", "cpu"):
        for name in pack.variants:
            found += _replay_variant(pack, name, "cpu", warning)
    return found


def _replay_variant(pack: Pack, name: str, provider: str, fault: MakeFinding) -> Report:
    """Replay one variant; use ``fault`` to make the finding if it cannot be used here."""
    from onnxpack.report import report

    try:
        return _prove(pack, provider, name)
    except (PackError, ProviderError) as exc:
        return report([fault(f"variant {name}", exc.message, exc.remedy)])


def _prove(pack: Pack, provider: str, variant: str = "base") -> Report:
    """Return the replay of one graph on one provider, with both named in each finding."""
    import msgspec

    from onnxpack.report import report
    from onnxpack.runtime.model import Model

    model = Model(pack, provider=provider, variant=variant)
    where = f"variant {model.variant}" if model.variant else model.provider
    return report(
        msgspec.structs.replace(finding, subject=f"{where}: {finding.subject}")
        for finding in model.prove().findings
    )
