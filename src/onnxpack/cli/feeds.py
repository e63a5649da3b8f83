"""Read the values of ``--input``: files, pictures or random numbers for a model's inputs."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from onnxpack.cli import say
from onnxpack.cli.draw import draw
from onnxpack.errors import FeedError, OnnxpackError
from onnxpack.runtime.tables import TABLES, read_table
from onnxpack.zipped import check_zip

if TYPE_CHECKING:
    from onnxpack.runtime.model import Model
    from onnxpack.signature import Array, TensorSpec

RANDOM = "random"
BATCH = "batch"


def read_feeds(texts: Sequence[str], model: Model, *, seed: int) -> dict[str, Array]:
    """Return one array for each input of the model.

    Args:
        texts: ``x.npy``, ``x.npz``, a table, a picture or ``random``. ``name=…`` names the input;
            other values fill the inputs in order. The arrays of an ``.npz`` and the columns of a
            table are matched by their names.
        model: model to make inputs for.
        seed: seed of the random numbers.

    Raises:
        FeedError: a file cannot be read, or the inputs do not fit; see ``Signature.bind``.
    """
    specs = {spec.name: spec for spec in model.signature.inputs}
    named: dict[str, Array] = {}
    in_order: list[str] = []
    for text in texts:
        name, is_named, value = text.partition("=")
        if is_named and name in specs and value != RANDOM:
            named[name] = _read_one(value, specs[name], model)
        elif text.endswith(".npz"):
            named |= _read_npz(Path(text))
        elif text.endswith(TABLES):
            named |= _read_table(Path(text), model)
        elif text != RANDOM and not (name in specs and value == RANDOM):
            in_order.append(text)
    free = [spec for spec in specs.values() if spec.name not in named]
    if len(in_order) > len(free):
        raise FeedError(
            f"{in_order[len(free)]!r} is one input too many; the model takes {model.signature}."
        )
    for text, spec in zip(in_order, free, strict=False):
        named[spec.name] = _read_one(text, spec, model)
    if len(in_order) + sum(text.endswith((".npz", *TABLES)) for text in texts) < len(texts):
        named = random_feeds(model, seed=seed) | named
    return model.bind(named)


def random_feeds(model: Model, *, seed: int) -> dict[str, Array]:
    """Return random inputs of legal shapes; values are like those of the golden data, if any.

    ``batch`` is 1; other dynamic dims have their size in the golden data, else 8. Floats are drawn
    from the standard normal distribution. Integers and text are like the golden data's: an index
    outside its range might not exist.
    """
    source = Random(seed)  # noqa: S311 - test data, not secrets
    golden = _golden(model)
    sizes: dict[str, int] = {}
    for spec in model.signature.inputs:
        shape = golden[spec.name].shape if spec.name in golden else ()
        sizes |= {d: n for d, n in zip(spec.shape or (), shape, strict=False) if isinstance(d, str)}
    sizes[BATCH] = 1
    return {
        spec.name: draw(source, spec, sizes, like=golden.get(spec.name))
        for spec in model.signature.inputs
    }


def _golden(model: Model) -> dict[str, Array]:
    """Return the inputs of the first golden set, or an empty dict if it cannot be read."""
    from onnxpack.pack.tensor import read_tensor

    if not model.pack.golden:
        return {}
    try:
        arrays = [read_tensor(path)[1] for path in model.pack.golden[0].inputs]
    except OnnxpackError:
        return {}
    specs = model.signature.inputs
    return {spec.name: array for spec, array in zip(specs, arrays, strict=False)}


def _read_one(text: str, spec: TensorSpec, model: Model) -> Array:
    from onnxpack.runtime.picture import SUFFIXES, read_picture

    path = Path(text)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return read_picture(path, spec, model.preprocess)
    if suffix == ".npz":
        arrays = _read_npz(path)
        if spec.name in arrays or len(arrays) == 1:
            return arrays.get(spec.name, next(iter(arrays.values())))
        raise FeedError(f"{path} holds {', '.join(arrays)}; expected one array or {spec.name!r}.")
    if suffix == ".npy":
        array: Array = _load(path)
        return array
    raise FeedError(
        f"input {text!r} is not x.npy, x.npz, rows.csv, rows.parquet, a picture "
        f"({', '.join(SUFFIXES)}) or random; the model takes "
        f"{', '.join(s.name for s in model.signature.inputs)}.",
        remedy="onnxpack run --help",
    )


def _read_table(path: Path, model: Model) -> dict[str, Array]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found = read_table(path, model.signature)
    for warning in caught:
        say.note(f"note: {warning.message}")
    return found


def _read_npz(path: Path) -> dict[str, Array]:
    archive = _load(path)
    try:
        with archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as exc:
        raise _unreadable(path, exc) from exc


def _load(path: Path) -> Any:
    import numpy as np

    check_zip(path, error=FeedError)
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as exc:
        raise _unreadable(path, exc) from exc
    if isinstance(loaded, np.ndarray) == (path.suffix.lower() == ".npz"):
        raise FeedError(f"the content of {path} does not match its file name.")
    return loaded


def _unreadable(path: Path, exc: Exception) -> FeedError:
    reason = getattr(exc, "strerror", None) or exc
    return FeedError(f"{path} cannot be read: {reason}.")
