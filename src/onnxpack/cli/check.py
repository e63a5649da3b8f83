"""``onnxpack check``: check that a pack is complete, and reproduce its answers here."""

from __future__ import annotations

from pathlib import Path

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command, NotOkError, NotProvenError

NAME = "check"
EXAMPLE = """Example:
  onnxpack check resnet18
  onnxpack check resnet18 --provider cuda --json
  onnxpack check resnet18 --variant int8
  onnxpack check resnet18 --digest sha256:…"""


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
@parameters.digest
@parameters.json("Print the findings as JSON.")
def command(pack: Path, provider: str | None, variant: str, digest: str | None, json: bool) -> None:
    """Check a pack and replay its golden data here.

    The last line ends on up to three words. A pack is unchanged if its files have the digests that
    pack.json names and no part contradicts another. It is proven if its golden data was replayed
    here with the framework's answers, and trusted if its digest is the one that you gave.

    If a variant does not replay here, this is a warning, because the base then answers; it is an
    error if --variant names the variant. All findings are shown, not only the first. The exit code
    is 1 if a finding is an error, and 4 if there is none but nothing was proven.
    """
    from onnxpack.parity.check import check

    checked = check(pack, provider=provider, variant=variant, digest=digest)
    if json:
        say.emit(
            {
                "ok": checked.ok,
                "unchanged": checked.unchanged,
                "proven": checked.proven,
                "trusted": checked.trusted,
                "digest": checked.digest,
                "findings": checked.report.findings,
            }
        )
    else:
        from onnxpack.cli import show

        show.report(checked.report, title=str(pack), words=checked.words)
    if not checked.ok:
        raise NotOkError
    if not checked.proven:
        raise NotProvenError
