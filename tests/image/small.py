"""Builds that take a tenth of a second: programs that stand in for mmdebstrap and uv."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from onnxpack.image.base.debian import STATUS, default_python
from onnxpack.image.runtime import bytecode, layer, wheels
from onnxpack.oci.layer.entry import Entry

MMDEBSTRAP = """#!/bin/sh
set -e
folder="${0%/*}"
echo called >> "$folder/calls"
for to; do :; done
if [ -e "$folder/gate" ]; then read line < "$folder/gate"; fi
cp "$folder/debian.tar" "$to"
"""
UV = """#!/bin/sh
set -e
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/numpy" "$2/numpy-2.dist-info"
cp "${0%/*}/METADATA" "$2/numpy-2.dist-info/METADATA"
cp "${0%/*}/module.py" "$2/numpy/__init__.py"
head -c 20000 /dev/zero > "$2/numpy/data.bin"
"""
METADATA = "Metadata-Version: 2.1\nName: numpy\nVersion: 2\n"
ABOUT = "Package: libc6\nVersion: {}\nArchitecture: amd64\n"


def make_stand_ins(folder: Path, *, version: str = "1") -> Path:
    """Write the programs, and a graph to build images of; ``version`` is that of libc6."""
    folder.mkdir(exist_ok=True)
    for name, script in (("mmdebstrap", MMDEBSTRAP), ("uv", UV)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    (folder / "METADATA").write_text(METADATA)
    (folder / "module.py").write_text("x = 1\n")
    python, module = f"usr/bin/python{default_python()}", f"usr/lib/python{default_python()}/os.py"
    with tarfile.open(folder / "debian.tar", "w") as tar:
        for path, content in (
            (python, bytes(9000)),
            (module, b"x = 1\n"),
            ("usr/lib/libc.so.6", bytes(range(250)) * 40),
            (f"{STATUS}/libc6", ABOUT.format(version).encode()),
            (f"{STATUS}/libc6.list", f"./{python}\n./{module}\n./usr/lib/libc.so.6\n".encode()),
        ):
            info = tarfile.TarInfo(f"./{path}")
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, ir_version=8), folder / "small.onnx")
    return folder


def use_stand_ins(folder: Path) -> None:
    """Let this process build with the programs of a folder, little of onnxpack and no byte code."""
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    wheels._uv = lambda: str(folder / "uv")
    layer.find_interpreter = bytecode.find_interpreter = lambda _: None
    layer.own_files = lambda: iter([Entry("onnxpack/__init__.py", Path(__file__))])


def image_arguments(folder: Path, output: Path) -> list[str]:
    """What ``onnxpack`` is called with to build an image."""
    return ["image", str(folder / "small.onnx"), "--base", "debian", "-o", str(output), "--force"]


def main() -> None:
    """``python -m tests.image.small FOLDER OUTPUT MORE…`` builds an image."""
    from onnxpack.cli.main import main

    folder, output, *more = sys.argv[1:]
    use_stand_ins(Path(folder))
    print("begins", flush=True)
    sys.exit(main([*image_arguments(Path(folder), Path(output)), *more]))


if __name__ == "__main__":
    main()
