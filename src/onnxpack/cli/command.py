"""Commands whose help explains their arguments and ends with an example, and how one fails."""

from __future__ import annotations

from typing import Any

import click


class NotOkError(Exception):
    """The check of a command failed, and everything about it was already printed."""


class NotProvenError(Exception):
    """A check found no error, but nothing that proves the pack; all of it was already printed."""


class Argument(click.Argument):
    """An argument with an explanation in the help.

    Older versions of click have no help for arguments; newer ones show it under another heading.

    Args:
        meaning: line that explains the argument.
    """

    def __init__(self, *names: Any, meaning: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.meaning = meaning


class Command(click.Command):
    """A command with an example that works when pasted.

    Args:
        example: lines that begin with ``Example:``.
    """

    def __init__(self, name: str, *, example: str, **settings: Any) -> None:
        super().__init__(name, epilog=f"\b\n{example}", **settings)
        self.example = example

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, then the options."""
        arguments = [
            (each.human_readable_name, each.meaning)
            for each in self.params
            if isinstance(each, Argument)
        ]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        super().format_options(ctx, formatter)
