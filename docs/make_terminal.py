"""Draws docs/images/terminal.svg: a terminal in which these commands were really run.

``python docs/make_terminal.py`` runs them in a temporary folder and writes the picture.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "03-real-weights"
PICTURE = HERE / "images" / "terminal.svg"
COLUMNS = 110
PREPARE = """
import json
import PIL.Image, skimage.data
import lite0, msgspec
json.dump(lite0.labels(), open("imagenet.json", "w"))
open("lite0.json", "wb").write(msgspec.json.encode(lite0.PREPROCESS))
PIL.Image.fromarray(skimage.data.chelsea()).save("cat.png")
"""
COMMANDS = (
    """onnxpack export lite0.py:make_model --sample 1x3x224x224 \\
    --labels imagenet.json --preprocess lite0.json -o lite0""",
    "onnxpack check lite0",
    "onnxpack run lite0 --input cat.png",
)


def main() -> None:
    """Run the commands, and draw what they print."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(EXAMPLE / "lite0.py", folder)
        run([sys.executable, "-c", PREPARE], folder)
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(run(["bash", "-c", command], folder).rstrip()))
            console.print()
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(console))


def run(command: list[str], folder: str) -> str:
    """What a command prints on a terminal of our width."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shown = {"PATH": path, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **shown},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


def draw(console: Console) -> str:
    """The picture; its letters come from the reader's machine, never from a server."""
    svg = console.export_svg(title="onnxpack", unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    main()
