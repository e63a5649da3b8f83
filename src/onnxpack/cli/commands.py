"""Load the commands by name; each module is imported only when its command is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from onnxpack.cli.command import Command

PROGRAM = "onnxpack"
COMPLETE = "_ONNXPACK_COMPLETE"
"""The environment variable by which a shell asks for completions."""

MODULES = {
    "export": "export",
    "check": "check",
    "inspect": "inspect",
    "view": "view",
    "run": "run",
    "bench": "bench",
    "optimize": "optimize",
    "audit": "audit",
    "serve": "serve",
    "image": "image",
    "image compare": "image_compare",
    "cache ls": "cache_ls",
    "cache prune": "cache_prune",
    "cache verify": "cache_verify",
    "providers": "providers",
    "doctor": "doctor",
    "completion": "completion",
}
"""The module of each command, in the order of the help."""


def load(name: str) -> Command:
    """Import and return the command of a name."""
    found: Command = import_module(f"onnxpack.cli.{MODULES[name]}").command
    return found


class Commands(click.Group):
    """The group of all commands, with names of one word or two, such as ``image compare``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Command | None:
        """Return the command of a name, or None if there is none."""
        return load(cmd_name) if cmd_name in MODULES else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command; a name of two words is preferred."""
        if " ".join(args[:2]) in MODULES:
            args = [" ".join(args[:2]), *args[2:]]
        elif args[0] not in MODULES and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(_no_such(args[0]))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the completions without a space, since a shell completes single words."""
        found = super().shell_complete(ctx, incomplete)
        return [item for item in found if " " not in str(item.value)]


def _no_such(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, MODULES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"No such command {name!r}.{hint}"
