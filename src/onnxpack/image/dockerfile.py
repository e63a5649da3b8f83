"""Write the image as a Dockerfile, to be built with an engine.

The folder is a build context. In a first stage, packages are placed, pruned and compiled by the
same rules and code as without a daemon; the second stage takes them and the pack. Two things are
missing, which only a build without a daemon knows: the base's digest, and a bill of materials.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxpack.image.additions import Additions
from onnxpack.image.base.debian import default_python
from onnxpack.image.build import in_order, shipped, takes_pictures
from onnxpack.image.config import SECOND, config, labels
from onnxpack.image.runtime import compiler, elf, lean, prune
from onnxpack.image.runtime.layer import PREFIX, own_files
from onnxpack.image.runtime.wheels import RUNTIMES, required, requirements
from onnxpack.oci.store.atomic import atomic_folder
from onnxpack.pack.model import Pack

PIP_SETTINGS = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_TRUSTED_HOST",
)  # fmt: skip
"""Build arguments that tell pip where to find wheels."""
_TOOLS = (compiler, elf, lean, prune)
_MADE = ", as `onnxpack image` builds it without a daemon."
_FOLDERS = ("model", "own", "requirements", "tools")
MAX_LINE = 1000
_FIRST = """\
# {name}{made}
ARG BASE=python:{python}-slim

FROM ${{BASE}} AS runtime
# cpu or cuda
ARG RUNTIME={runtime}
{pip_settings}
COPY requirements /requirements
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \\
    --only-binary=:all: --no-compile --target=/{prefix} -r /requirements/${{RUNTIME}}.txt
COPY own /{prefix}
COPY tools /tools
RUN PYTHONPATH=/tools PYTHONHASHSEED=0 python3 -m onnxpack.image.runtime.lean /{prefix}

FROM ${{BASE}}
COPY --from=runtime /{prefix} /{prefix}
{models}
"""
_IGNORED = "*\n!model\n!own\n!requirements\n!tools\n"


def write_dockerfile(
    packs: Pack | Sequence[Pack],
    to: Path,
    *,
    runtime: str = "cpu",
    python: str | None = None,
    force: bool = False,
    additions: Additions | None = None,
) -> None:
    """Write a build context with a Dockerfile, completely or not at all.

    Args:
        packs: the models, in any order; their files are copied.
        to: folder to create.
        runtime: default of the build argument RUNTIME: ``cpu`` or ``cuda``.
        python: version of the base; by default the one that runs here, if Debian has it.
        force: replace an existing folder.
        additions: variables, labels and gRPC.

    Raises:
        ImageError: ``to`` exists or cannot be written.
        UsageError: two packs have the same name.
    """
    packs = in_order([packs] if isinstance(packs, Pack) else packs)
    additions = additions or Additions()
    with atomic_folder(to, is_ours=_is_of_context, force=force) as made:
        text = _dockerfile(packs, runtime, python or default_python(), additions)
        (made / "Dockerfile").write_text(text)
        (made / ".dockerignore").write_text(_IGNORED)
        for name, content in _requirements(packs, grpc=additions.grpc).items():
            _put(content, made / "requirements" / name)
        for pack in packs:
            for name, source in shipped(pack):
                _put(source, made / "model" / pack.name / name)
        for entry in own_files():
            _put(entry.source, made / "own" / entry.path)
        for package in ("onnxpack", "onnxpack/image", "onnxpack/image/runtime"):
            _put(b"", made / "tools" / package / "__init__.py")
        for module in _TOOLS:
            source = Path(str(module.__file__))
            _put(source, made / "tools/onnxpack/image/runtime" / source.name)
        _open_to_all(made)


def _is_of_context(folder: Path, relative: str) -> bool:
    """Return whether a file of an existing folder is such as this module writes.

    Others have a Dockerfile and a folder ``model`` as well, so the first line decides.
    """
    part, _, _ = relative.partition("/")
    if part not in ("Dockerfile", ".dockerignore", *_FOLDERS):
        return False
    try:
        with (folder / "Dockerfile").open(encoding="utf-8") as stream:
            return stream.readline(MAX_LINE).rstrip("\n").endswith(_MADE)
    except (OSError, UnicodeDecodeError):
        return False


def _dockerfile(packs: Sequence[Pack], runtime: str, python: str, additions: Additions) -> str:
    first = _FIRST.format(
        name=", ".join(pack.name for pack in packs), made=_MADE, python=python, runtime=runtime,
        prefix=PREFIX, pip_settings="\n".join(f"ARG {name}" for name in PIP_SETTINGS),
        models="\n".join(
            f"COPY {json.dumps([f'model/{pack.name}', f'/model/{pack.name}'])}" for pack in packs
        ),
    )  # fmt: skip
    named = labels(packs, additions).items()
    lines = [
        *_instructions(config(packs, "python3", additions)),
        *(f"LABEL {name}={_quoted(value)}" for name, value in named),
    ]
    return first + "\n".join(lines) + "\n"


def _instructions(settings: Mapping[str, Any]) -> Iterator[str]:
    pairs = (line.partition("=") for line in settings["Env"])
    env = " \\\n    ".join(f"{name}={_quoted(value)}" for name, _, value in pairs)
    yield f"ENV {env}"
    yield f"USER {settings['User']}"
    yield f"WORKDIR {settings['WorkingDir']}"
    yield f"EXPOSE {' '.join(settings['ExposedPorts'])}"
    yield f"STOPSIGNAL {settings['StopSignal']}"
    check = settings["Healthcheck"]
    times = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}
    options = " ".join(f"--{name}={check[key] // SECOND}s" for name, key in times.items())
    yield f"HEALTHCHECK {options} CMD {json.dumps(check['Test'][1:])}"
    yield f"ENTRYPOINT {json.dumps(settings['Entrypoint'])}"
    yield f"CMD {json.dumps(settings['Cmd'])}"


def _quoted(value: str) -> str:
    """Return a value that means itself; a line break, of a pack's description, becomes a blank."""
    plain = value if value.splitlines() == [value] else " ".join(value.split())
    for special in ("\\", '"', "$"):
        plain = plain.replace(special, f"\\{special}")
    return f'"{plain}"'


def _requirements(packs: Sequence[Pack], *, grpc: bool) -> dict[str, bytes]:
    """Return requirement files for each runtime, with pinned requirements and constraints."""
    found = {}
    pictures = any(map(takes_pictures, packs))
    for runtime in RUNTIMES:
        pins = requirements(runtime=runtime, pictures=pictures, grpc=grpc)
        constraints = f"constraints-{runtime}.txt"
        lines = [f"-c {constraints}", *pins]
        found[f"{runtime}.txt"] = "".join(f"{line}\n" for line in lines).encode()
        found[constraints] = "".join(f"{pin}\n" for pin in required(pins)).encode()
    return found


def _put(source: object, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path):
        shutil.copyfile(source, to)
    elif isinstance(source, bytes):
        to.write_bytes(source)


def _open_to_all(folder: Path) -> None:
    """Make all files readable: engines copy modes, and the image runs as another user."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
