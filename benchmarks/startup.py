"""How long the commands take to start, against ``python -c "import onnxruntime"``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import machine, pairs, process
from mlp import make_pack

PAIRS = 21


def main() -> None:
    """Print a Markdown table of milliseconds."""
    onnxpack = str(Path(sys.executable).with_name("onnxpack"))
    with TemporaryDirectory() as folder:
        pack = str(make_pack(Path(folder)).path)
        commands = {
            "`onnxpack --help`": [onnxpack, "--help"],
            "`onnxpack run mlp --input random`": [onnxpack, "run", pack, "--input", "random"],
        }
        bare = [sys.executable, "-c", "import onnxruntime"]
        print(f"{machine()}\n")
        print("| command | ms | `import onnxruntime` ms | ratio | quartiles |")
        print("|---|---|---|---|---|")
        for name, command in commands.items():
            measured = pairs(partial(process, command), partial(process, bare), PAIRS)
            print(measured.row(name, 1e-3, 0))


if __name__ == "__main__":
    main()
