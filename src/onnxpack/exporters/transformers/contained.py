"""Load a folder with transformers so that nothing is fetched and no other file is read.

A config can name other models: a backbone, the base of an adapter, a kernel of a hub. transformers
looks for them in a hub, in the hub's cache, or at any path of the machine.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from onnxpack.errors import TargetError
from onnxpack.exporters.replaced import replaced

MAX_JSON = 64 * 2**20
"""Most bytes of a config or of an index of weights."""
SNAPSHOTS, BLOBS, CACHED = "snapshots", "blobs", "models--"
"""Names in the cache of ``huggingface_hub``: ``models--X/snapshots/REVISION/config.json`` is a
symlink to a file in ``models--X/blobs``."""


def check_folder(folder: Path) -> None:
    """Check that no file of a folder leads out of it, by a symlink or by a name.

    In a snapshot of a hub's cache, symlinks to the blobs of the same model are allowed.

    Raises:
        TargetError: a symlink, an index of weights or a tokenizer's config leads out, or an entry
            is neither a file nor a folder.
    """
    home = folder.resolve()
    for above, folders, files in os.walk(home):
        for name in (*folders, *files):
            _check_entry(Path(above, name), home)
    for index in sorted(home.glob("*.index.json")):
        weights = read_json(index).get("weight_map")
        names = weights.values() if isinstance(weights, dict) else [weights]
        odd = [name for name in names if not _is_plain(name)]
        if odd:
            raise TargetError(
                f"{index} takes weights from {odd[0]!r}, expected the name of a file in the folder."
            )
    _check_tokenizer(home)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of at most ``MAX_JSON`` bytes.

    Raises:
        TargetError: the file cannot be read, is larger, or contains something else.
    """
    try:
        with path.open("rb") as source:
            content = source.read(MAX_JSON + 1)
        if len(content) > MAX_JSON:
            raise TargetError(f"{path} has more than {MAX_JSON} bytes.")
        found = json.loads(content)
    except (OSError, ValueError, RecursionError) as exc:
        raise TargetError(f"{path} cannot be read: {exc}.") from exc
    if not isinstance(found, dict):
        raise TargetError(f"{path} does not contain a JSON object.")
    return found


@contextmanager
def contained(folder: Path) -> Iterator[None]:
    """Let transformers read only this folder, and without the network, in this thread.

    Raises:
        TargetError: transformers looks for a file elsewhere.
    """
    from transformers import modeling_utils
    from transformers.utils import hub

    home = folder.resolve()
    refused: list[TargetError] = []

    def check(named: Any, names: Sequence[str] = ()) -> None:
        found = _elsewhere(home, named, names)
        if found is not None:
            refused.append(found)
            raise found

    def cached_files(path_or_repo_id: Any, filenames: Sequence[str], *args: Any, **kw: Any) -> Any:
        check(path_or_repo_id, filenames)
        return find(path_or_repo_id, filenames, *args, **kw)

    def checkpoint_files(pretrained_model_name_or_path: Any, *args: Any, **kw: Any) -> Any:
        check(pretrained_model_name_or_path)
        return resolve(pretrained_model_name_or_path, *args, **kw)

    with (
        offline(),
        replaced(hub, "cached_files", cached_files) as find,
        replaced(modeling_utils, "_get_resolved_checkpoint_files", checkpoint_files) as resolve,
    ):
        try:
            yield
        except Exception as exc:
            if refused:  # transformers turns what it does not know into an OSError of its own
                raise refused[0] from exc
            raise


@contextmanager
def offline() -> Iterator[None]:
    """Let no request leave: none of a hub, and in this thread no connection at all.

    ``huggingface_hub`` reads ``HF_HUB_OFFLINE`` from the environment only when it is imported, so
    its constant is set. Kernels are code of a hub, and may lie in its cache.
    """
    from huggingface_hub import constants
    from transformers.integrations import hub_kernels

    with ExitStack() as stack:
        stack.enter_context(replaced(constants, "HF_HUB_OFFLINE", True))
        stack.enter_context(replaced(hub_kernels, "is_kernels_available", _no_kernels))
        for name in ("connect", "connect_ex", "sendto"):
            stack.enter_context(replaced(socket.socket, name, _refuse))
        stack.enter_context(replaced(socket, "getaddrinfo", _refuse))
        yield


def refuse_kernels(config: Any, path: Path) -> None:
    """Refuse a config that computes attention with a kernel: compiled code of a hub.

    Raises:
        TargetError: the config, or one within it, names a kernel.
    """
    for key, value in config.items() if isinstance(config, dict) else ():
        named = value if isinstance(value, dict) else {"": value}
        kernel = next(
            (each for each in named.values() if isinstance(each, str) and "/" in each), ""
        )
        if key.endswith("attn_implementation") and kernel:
            raise TargetError(
                f"{path} sets {key} to {kernel!r}, which is code of a hub, and nothing is fetched.",
                remedy=f"remove {key!r} from {path / 'config.json'}",
            )
        refuse_kernels(value, path)


def in_python(home: Path) -> str:
    """Return the remedy for a folder that needs more than is in it."""
    return f"load the model in Python: onnxpack.export(model, sample, {home.resolve().name!r})"


def _refuse(*_args: Any, **_kw: Any) -> NoReturn:
    raise OSError("nothing is fetched while a folder is loaded")


def _no_kernels(*_args: Any, **_kw: Any) -> bool:
    return False


def _check_entry(path: Path, home: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = path.resolve()
        if not _is_inside(target, home):
            raise TargetError(
                f"{path} is a symlink to {target}, which is outside of the folder.",
                remedy=f"if you made the link: cp -rL {home} {home.name}-copy",
            )
        mode = target.stat().st_mode if target.exists() else stat.S_IFREG
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise TargetError(f"{path} is neither a file nor a folder.")


def _is_inside(target: Path, home: Path) -> bool:
    """Return whether a resolved path is in the folder, or is a blob of the folder's own model."""
    cache = home.parent.parent
    cached = home.parent.name == SNAPSHOTS and cache.name.startswith(CACHED)
    return target.is_relative_to(home) or (cached and target.is_relative_to(cache / BLOBS))


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name


def _check_tokenizer(home: Path) -> None:
    """Refuse a ``vocab_file`` elsewhere; a path that existed only where it was saved is common."""
    path = home / "tokenizer_config.json"
    for key, name in (read_json(path) if path.is_file() else {}).items():
        if not (key.endswith("_file") and isinstance(name, str)):
            continue
        target = Path(os.path.realpath(home / name))
        if target.exists() and not _is_inside(target, home):
            raise TargetError(
                f"{path} names {name!r} as its {key}, which is outside of the folder.",
                remedy=f"remove {key!r} from {path}",
            )


def _elsewhere(home: Path, named: Any, names: Sequence[str]) -> TargetError | None:
    """Return the error for files that transformers looks for outside of the folder, or None."""
    if Path(named or "").resolve() != home:
        return TargetError(
            f"{home} needs another model, {str(named)!r}, and nothing outside of the folder is "
            "read or fetched.",
            remedy=in_python(home),
        )
    leads_out = (name for name in names if os.path.normpath(name).startswith(("/", "..")))
    outside = next(leads_out, None)
    if outside is None:
        return None
    return TargetError(f"{home} names the file {outside!r}, which is outside of the folder.")
