"""Parameters that several commands share, and their types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

import click

from onnxpack.cli import complete
from onnxpack.cli.command import Argument

Parameter: TypeAlias = Callable[[Any], Any]
"""A decorator that adds a parameter to the function below it."""


class FiniteRange(click.FloatRange):
    """A range of numbers without ``nan`` and ``inf``, which click accepts."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the converted number.

        Raises:
            click.BadParameter: the number is out of range, or not finite.
        """
        found = float(super().convert(value, param, ctx))
        if not isfinite(found):
            ends = (("at least", self.min), ("at most", self.max))
            wanted = " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)
            self.fail(f"{value} is not a finite number, expected {wanted}.", param, ctx)
        return found


PATH = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
PORT = click.IntRange(0, 65535)

pack = click.argument(
    "pack",
    cls=Argument,
    type=PATH,
    metavar="PACK",
    shell_complete=complete.pack,
    meaning="A pack, a model-zoo folder, or an .onnx file.",
)

provider = click.option(
    "--provider",
    metavar="NAME",
    shell_complete=complete.provider,
    default="auto",
    help="Execution provider, as in onnxpack providers.",
)
variant = click.option(
    "--variant",
    metavar="NAME",
    shell_complete=complete.variant,
    default="auto",
    help="Name of a variant; base for the proven graph; or auto for the fastest that reproduces "
    "its evidence here.",
)
digest = click.option(
    "--digest",
    metavar="SHA256",
    help="Digest of the pack that is expected, as onnxpack inspect prints it; another pack is "
    "refused.",
)
class_name = click.option(
    "--class",
    "class_name",
    metavar="MODULE:CLASS",
    help="The model's class, for a .ckpt or .safetensors file.",
)


def packs(meaning: str) -> Parameter:
    """Return a decorator that adds one or more packs as arguments."""
    return click.argument(
        "packs",
        cls=Argument,
        nargs=-1,
        required=True,
        type=PATH,
        metavar="PACK…",
        shell_complete=complete.pack,
        meaning=meaning,
    )


def flag(name: str, help_: str) -> Parameter:
    """Return an option that takes no value."""
    return click.option(name, is_flag=True, help=help_)


def json(help_: str) -> Parameter:
    """Return the option ``--json``."""
    return flag("--json", help_)


def one_of(
    name: str, values: Sequence[str], help_: str, *, default: str | None = None
) -> Parameter:
    """Return an option that takes one of a few words."""
    metavar = f"<{'|'.join(values)}>"
    return click.option(
        name, type=click.Choice(values), metavar=metavar, default=default, help=help_
    )


threads = click.option(
    "--threads",
    type=COUNT,
    metavar="N",
    help="Threads per operator; by default as many as the CPU quota allows.",
)
max_loss = click.option(
    "--max-loss",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    default=0.01,
    help="The share of answers that may be lost, with 95 % confidence.",
)
metric = click.option(
    "--metric",
    metavar="NAME",
    default="",
    show_default=False,
    help="agreement, neighbour, error, boxes, or module:fn(reference, candidate); by default "
    "chosen by the outputs.",
)
