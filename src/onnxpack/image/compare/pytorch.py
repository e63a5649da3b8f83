"""Build the PyTorch image of a model, with which the ONNX image is compared.

The comparison is fair: the image contains only PyTorch, a web server and a saved program, on the
same base, with byte code, and with CPU wheels for the CPU variant.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.image.base.open import Base
from onnxpack.image.cache import Cache, key_of
from onnxpack.image.config import PORT, USER
from onnxpack.image.runtime.bytecode import compiled, find_interpreter
from onnxpack.image.runtime.layer import PREFIX
from onnxpack.image.runtime.wheels import install
from onnxpack.oci.image import Image, append_layers
from onnxpack.oci.layer.entry import Entry, Folder, walk
from onnxpack.oci.layer.layer import Layer, write_layer
from onnxpack.signature import Signature

TEMPLATES = Path(__file__).with_name("templates")
FAIR, PLAIN = "Dockerfile", "Dockerfile.plain"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_APP = "app"
# PyTorch imports these modules, and the Debian base leaves them out.
_STANDARD = ("cProfile.py", "pickletools.py", "profile.py", "pstats.py", "unittest")


def pytorch_requirements(torch: str) -> tuple[str, ...]:
    """Return the requirements of the image: PyTorch's, and those of the web server."""
    return (torch, *(f"{name}=={version(name)}" for name in ("orjson", "uvicorn")))


def write_context(program: Path, signature: Signature, to: Path) -> None:
    """Write a build context: the program, the application, a fair and a plain Dockerfile.

    Args:
        program: ``program.pt`` of TorchScript, or ``program.pt2`` of ``torch.export``.
        signature: names and dtypes of the inputs and outputs, in the program's order.
        to: folder to create.
    """
    to.mkdir()
    for name in (FAIR, PLAIN, "app.py"):
        shutil.copyfile(TEMPLATES / name, to / name)
    shutil.copyfile(program, to / program.name)
    told = {
        "inputs": [{"name": spec.name, "dtype": spec.dtype} for spec in signature.inputs],
        "outputs": [spec.name for spec in signature.outputs],
    }
    (to / "signature.json").write_text(json.dumps(told))
    for path in to.iterdir():
        path.chmod(0o644)


def build_pytorch(
    context: Path,
    base: Base,
    pins: Sequence[str],
    cache: Cache,
    *,
    options: Sequence[str] = (),
    mtime: int = 0,
) -> Image:
    """Build the fair image of a context without a daemon.

    Args:
        context: folder by :func:`write_context`; the model's layer is written beside it.
        base: base of the image.
        pins: requirements to install.
        cache: cache of trees and layers.
        options: options of uv that say where PyTorch's wheels are.
        mtime: time of every file, in seconds since 1970.

    Raises:
        ImageError: uv found no such wheels.
    """
    runtime = _runtime_layer(base, pins, cache, options, mtime)
    entries = [
        Entry(f"{_APP}/{path.name}", path)
        for path in sorted(context.iterdir())
        if not path.name.startswith(FAIR)
    ]

    model = write_layer(entries, context.with_suffix(".layer"), compression="none", mtime=mtime)
    return append_layers(
        base.image, [runtime, model], config=_config(base), created=mtime,
        history=["PyTorch", "its model"],
    )  # fmt: skip


def _runtime_layer(
    base: Base, pins: Sequence[str], cache: Cache, options: Sequence[str], mtime: int
) -> Layer:
    target = base.target
    key = key_of(
        pins=pins, target=target, options=options, lean=base.tree is not None, mtime=mtime,
        interpreter=find_interpreter(target.python),
    )  # fmt: skip

    def make(to: Path) -> Layer:
        wheels = install(pins, target, cache, also=(), options=options)
        placed = [*walk(wheels, at=PREFIX), *(_standard(target.python) if base.tree else ())]
        sources = [
            entry
            for entry in placed
            if not isinstance(entry.source, Folder) and "__pycache__" not in entry.path
        ]
        with compiled(sources, target.python, work=to.parent) as replaced:
            entries = [*sources, *_beside(sources, replaced, target.python)]
            return write_layer(entries, to, compression="gzip", mtime=mtime)

    return cache.layer(f"pytorch-{key}", make)


def _beside(sources: Sequence[Entry], replaced: Sequence[Entry], python: str) -> Iterator[Entry]:
    """Yield byte code in ``__pycache__`` beside the sources, since PyTorch reads sources too."""
    tag = f"cpython-{python.replace('.', '')}"
    for source, entry in zip(sources, replaced, strict=True):
        if entry.path != source.path:
            folder, _, name = source.path.rpartition("/")
            stem = name.removesuffix(".py")
            yield Entry(f"{folder}/__pycache__/{stem}.{tag}.pyc", entry.source)


def _standard(python: str) -> Iterator[Entry]:
    """Yield modules of the standard library, taken from this machine's interpreter."""
    interpreter = find_interpreter(python)
    if interpreter is None:
        raise ImageError(
            f"PyTorch needs more of the standard library than the base has, and Python {python} "
            "is not installed here to copy it from.",
            remedy=f"--base python:{python}-slim",
        )
    line = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    done = subprocess.run([interpreter, "-c", line], capture_output=True, text=True, check=True)
    library = Path(done.stdout.strip())
    for name in _STANDARD:
        path = library / name
        if path.is_dir():
            yield from walk(path, at=f"{PREFIX}/{name}")
        else:
            yield Entry(f"{PREFIX}/{name}", path)


def _config(base: Base) -> dict[str, Any]:
    return {
        "Entrypoint": [base.interpreter, "app.py"],
        "Cmd": [],
        "Env": [f"PYTHONPATH=/{PREFIX}", "PYTHONUNBUFFERED=1"],
        "User": USER,
        "WorkingDir": f"/{_APP}",
        "ExposedPorts": {f"{PORT}/tcp": {}},
    }
