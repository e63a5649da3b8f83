"""The parameters that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PackPath = Annotated[
    Path, typer.Argument(metavar="PACK", help="A pack, a model-zoo folder, or an .onnx file.")
]
