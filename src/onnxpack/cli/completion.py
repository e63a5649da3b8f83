"""``onnxpack completion``: print the script for shell completion."""

from __future__ import annotations

import click

from onnxpack.cli import say
from onnxpack.cli.command import Argument, Command
from onnxpack.cli.commands import COMPLETE, PROGRAM

NAME = "completion"
EXAMPLE = """Example:
  onnxpack completion bash > ~/.local/share/bash-completion/completions/onnxpack
  onnxpack completion zsh > "${fpath[1]}/_onnxpack"
  onnxpack completion fish > ~/.config/fish/completions/onnxpack.fish"""

SHELLS = ("bash", "zsh", "fish")


@click.command(NAME, cls=Command, example=EXAMPLE)
@click.argument(
    "shell",
    cls=Argument,
    type=click.Choice(SHELLS),
    metavar="SHELL",
    meaning="bash, zsh or fish.",
)
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and options.

    Save it where your shell looks for completion scripts; it works in every new shell.
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    kind = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    say.write(kind(context.find_root().command, {}, PROGRAM, COMPLETE).source())
