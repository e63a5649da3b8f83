"""The outputs of a fitted model: which of its methods are exported, and under which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.signature import Array

LABEL, PROBABILITIES, SCORES = "label", "probabilities", "scores"
PREDICTION, TRANSFORMED = "prediction", "transformed"


def planned(model: Any) -> Mapping[str, str]:
    """Return the method of each output, by the name of the output.

    Raises:
        ExportError: the model neither predicts nor transforms.
    """
    from sklearn.base import is_outlier_detector, is_regressor

    if is_outlier_detector(model) and hasattr(model, "predict"):
        return _having(model, {LABEL: "predict", SCORES: "decision_function"})
    if is_regressor(model) and hasattr(model, "predict"):
        return {PREDICTION: "predict"}
    if hasattr(model, "predict"):
        if hasattr(model, "predict_proba"):
            return {LABEL: "predict", PROBABILITIES: "predict_proba"}
        return _having(model, {LABEL: "predict", SCORES: "decision_function"})
    if hasattr(model, "transform"):
        return {TRANSFORMED: "transform"}
    raise ExportError(
        f"{type(model).__name__} can neither predict new rows nor transform them.",
        remedy="fit it with novelty=True, so that it has predict()"
        if hasattr(model, "novelty")
        else "export an estimator that has predict() or transform()",
    )


def answered(model: Any, x: Any) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return the outputs that work on the given rows, and a note for each that does not.

    Some models have a ``predict_proba`` that always fails, such as a chain of classifiers in which
    one classifier has three classes.
    """
    (first, method), *others = planned(model).items()
    kept, notes = {first: method}, []
    if _failure(model, method, x):  # even the first method fails, so the rows are at fault
        return planned(model), ()
    for name, other in others:
        failure = _failure(model, other, x)
        if failure:
            notes.append(
                f"{other}() failed on the sample, so the pack has no output {name!r}: {failure}"
            )
        else:
            kept[name] = other
    return kept, notes


def _failure(model: Any, method: str, x: Any) -> str:
    """Return the error that a method raises for these rows; empty if it raises none."""
    try:
        getattr(model, method)(x)
    except Exception as exc:  # noqa: BLE001 - an estimator can refuse in any way
        return f"{type(exc).__name__}: {exc}"
    return ""


def _having(model: Any, outputs: Mapping[str, str]) -> Mapping[str, str]:
    return {name: method for name, method in outputs.items() if hasattr(model, method)}


def answer(model: Any, methods: Mapping[str, str], x: Any) -> dict[str, Array]:
    """Return what the methods give for rows, as named arrays."""
    found: dict[str, Array] = {}
    for name, method in methods.items():
        values = getattr(model, method)(x)
        if name == TRANSFORMED and np.ndim(values) == 1 and np.ndim(x) == 2 and len(x) == 1:
            values = values[None]  # some transformers of scikit-learn flatten a single row
        found |= {key: as_array(value) for key, value in spread(name, values).items()}
    return found


def spread(name: str, values: Any) -> Mapping[str, Any]:
    """Return one entry, or one per item of a list: ``probabilities_0``, ``probabilities_1``."""
    if isinstance(values, list):
        return {f"{name}_{number}": value for number, value in enumerate(values)}
    return {name: values}


def as_array(values: Any) -> Array:
    """Return a dense array in a dtype that ONNX has: int64 for integers, objects for texts.

    uint64 is kept, because its numbers from 2**63 on would become negative in int64.

    Raises:
        ExportError: the values are neither numbers nor texts.
    """
    dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    if dense.dtype.kind == "O" and not all(isinstance(item, str) for item in dense.flat):
        dense = _numbers(dense)
    if dense.dtype.kind in "US":
        return dense.astype(object)
    if dense.dtype.kind in "iu" and dense.dtype != np.uint64:
        return dense.astype(np.int64)
    return dense.astype(np.float32) if dense.dtype == np.float16 else dense


def _numbers(mixed: Array) -> Array:
    kinds = {type(item) for item in mixed.flat}
    if kinds <= {bool, np.bool_}:
        return mixed.astype(bool)
    if all(issubclass(kind, int | float | np.number | np.bool_) for kind in kinds):
        return mixed.astype(np.float64)
    raise ExportError(
        "the model returns numbers and texts in one array, which a tensor cannot hold.",
        remedy="encode the texts, or leave them out: remainder='drop' in a ColumnTransformer",
    )


def class_names(model: Any) -> Sequence[str] | None:
    """Return the names of the classes if the model has a single set of classes, else None."""
    classes = getattr(model, "classes_", None)
    if isinstance(classes, np.ndarray) and classes.ndim == 1:
        return [str(name) for name in classes]
    return None
