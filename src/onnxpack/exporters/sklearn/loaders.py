"""Loaders of the files ``.skops``, ``.joblib``, ``.pkl`` and ``.pickle`` for the command line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.loaded import LoadedTarget
from onnxpack.floors import require_floor
from onnxpack.zipped import check_zip

HARMLESS = {"numpy.dtype"}
"""Types that skops reports as unknown, but that run no code when they are created."""
TRUST = "if you trust where the file came from, add --trust: it lets the file run code"


def skops(path: Path, _class_name: str | None, trust: bool) -> LoadedTarget:
    """Load a skops file; types that skops does not know require ``trust``.

    Raises:
        TargetError: the file is not trusted and holds types that skops does not know, or skops has
            a known hole; or it is not a skops file.
        MissingExtraError: skops is not installed.
    """
    try:
        from skops.io import get_untrusted_types, load
    except ImportError as exc:
        raise MissingExtraError("skops", extra="sklearn") from exc
    check_zip(path, error=TargetError)
    if not trust:
        require_floor("skops")
    try:
        unknown = get_untrusted_types(file=path)
    except Exception as exc:
        raise TargetError(f"{path} is not a skops file: {type(exc).__name__}: {exc}") from exc
    doubtful = [name for name in unknown if name not in HARMLESS]
    if doubtful and not trust:
        raise TargetError(
            f"{path} contains types that skops does not trust, which could run code or reach "
            f"into memory: {', '.join(doubtful)}.",
            remedy=TRUST,
        )
    return _loaded(path, lambda: load(path, trusted=unknown))


def pickled(path: Path, _class_name: str | None, trust: bool) -> LoadedTarget:
    """Load a pickle with joblib; the file is not opened without ``trust``.

    Raises:
        TargetError: the file is not trusted, or holds something other than an estimator.
        MissingExtraError: joblib is not installed.
    """
    if not trust:
        raise TargetError(
            f"{path} is a pickle, which can run any code when it is loaded.",
            remedy=f"{TRUST}; or save the model with skops.io.dump(model, 'model.skops'), which "
            "can be audited",
        )
    try:
        import joblib
    except ImportError as exc:
        raise MissingExtraError("joblib", extra="sklearn") from exc
    return _loaded(path, lambda: joblib.load(path))


def _loaded(path: Path, load: Callable[[], Any]) -> LoadedTarget:
    """Return the estimator of a file, with a note if another version of scikit-learn saved it.

    Raises:
        TargetError: loading fails, or the file holds something other than an estimator.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = load()
        except Exception as exc:
            raise TargetError(
                f"{path} cannot be loaded: {type(exc).__name__}: {exc}",
                remedy="install the packages, and the version of scikit-learn, that the model "
                "was saved with",
            ) from exc
    if not (hasattr(model, "predict") or hasattr(model, "transform")):
        raise TargetError(
            f"{path} contains a {type(model).__name__}, expected a fitted estimator with "
            "predict() or transform()."
        )
    notes = dict.fromkeys(note for warning in caught if (note := _version_note(warning.message)))
    return LoadedTarget(model, path.stem, notes=tuple(notes))


def _version_note(warning: Warning | str) -> str:
    """Return a note on a model saved by another version; empty for any other warning."""
    saved = getattr(warning, "original_sklearn_version", None)
    if saved is None:
        return ""
    return (
        f"the model was saved by scikit-learn {saved} and is loaded by "
        f"{getattr(warning, 'current_sklearn_version', 'another')}, which may read it "
        "differently"
    )
