"""``onnxpack providers``: list the execution providers, and test each by running a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command

if TYPE_CHECKING:
    from onnxpack.runtime.providers import ProviderStatus

NAME = "providers"
EXAMPLE = """Example:
  onnxpack providers
  onnxpack providers --json | jq -r '.[] | select(.works).short'"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.json("Print the list as JSON.")
def command(json: bool) -> None:
    """List the execution providers, and show which work here.

    A provider works if it has just run a small graph and returned the right numbers.
    """
    from onnxpack.runtime.providers import survey

    statuses = survey()
    if json:
        say.emit(statuses)
        return
    from onnxpack.cli import show

    show.table(
        ("provider", "in build", "works", "PyTorch", "hardware", "package"),
        [_row(status) for status in statuses],
    )
    say.out()
    for status in statuses:
        if status.in_build and not status.works:
            say.out(f"{status.short} does not work here: {status.detail}")
    say.out("The PyTorch column shows what a PyTorch model needs, on CPU or on GPU.")


def _row(status: ProviderStatus) -> tuple[str, ...]:
    return (
        status.short,
        "yes" if status.in_build else "-",
        "yes" if status.works else "no" if status.in_build else "-",
        status.pytorch.upper() if status.pytorch else "",
        status.hardware,
        status.package or "-",
    )
