"""Make installed packages smaller in a Dockerfile's first stage, as a build without a daemon does.

``python -m onnxpack.image.runtime.lean FOLDER`` removes what serving never opens and what only
debuggers read, and replaces sources by byte code. It imports only the standard library and the
modules beside it, which are in the build context.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from onnxpack.image.runtime.compiler import compile_one
from onnxpack.image.runtime.elf import stripped
from onnxpack.image.runtime.prune import has_grpc, is_kept


def make_lean(folder: Path) -> None:
    """Prune, strip and compile the packages in place."""
    grpc = has_grpc(folder)
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        if not is_kept(path.relative_to(folder).as_posix(), grpc=grpc):
            path.unlink()
        elif path.suffix == ".py":
            _compile(path)
        elif ".so" in path.name and (content := stripped(path.read_bytes())) is not None:
            path.write_bytes(content)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _compile(path: Path) -> None:
    with suppress(SyntaxError, ValueError):  # templates and files for another version stay
        path.with_suffix(".pyc").write_bytes(compile_one(path.read_bytes(), str(path)))
        path.unlink()


if __name__ == "__main__":
    make_lean(Path(sys.argv[1]))
