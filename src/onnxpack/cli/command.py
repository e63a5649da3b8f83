"""A command whose arguments are explained in its help, and which ends with an example."""

from __future__ import annotations

from typing import Any

import click


class Argument(click.Argument):
    """An argument that says what it means.

    Older clicks take no help for one, newer ones show it under another head.

    Args:
        meaning: the line that explains it.
    """

    def __init__(self, *names: Any, meaning: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.meaning = meaning


class Command(click.Command):
    """A command with an example that can be typed as it stands.

    Args:
        example: lines that begin with ``Example:``.
    """

    def __init__(self, name: str, *, example: str, **settings: Any) -> None:
        super().__init__(name, epilog=f"\b\n{example}", **settings)
        self.example = example

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The arguments, then the options."""
        arguments = [
            (each.human_readable_name, each.meaning)
            for each in self.params
            if isinstance(each, Argument)
        ]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        super().format_options(ctx, formatter)
