"""Read the categories of a data frame's columns from a booster."""

from __future__ import annotations

from typing import Any

from onnxpack.errors import ExportError, SampleError
from onnxpack.exporters.xgboost.model import Description


def read_categories(description: Description, sample: Any) -> dict[str, list[Any]]:
    """Return the categories that the booster knows, for each categorical column.

    XGBoost 3.2 keeps texts as one run of UTF-8 and bounds that count characters, so that it cuts
    names with an umlaut at the wrong place. It cuts the names of a frame as it did in training. So
    if the whole run is the sample's, the sample's own names are the known ones.

    Raises:
        SampleError: names are cut at wrong places, and the sample does not show the correct ones.
    """
    found = {}
    for name, kept in description.known_categories().items():
        own = _own(sample, name)
        if _same(own, kept):
            found[name] = own
        elif any(isinstance(value, str) and not value.isascii() for value in kept):
            raise SampleError(
                f"the booster stores the categories of column {name!r} split at wrong places, "
                "as XGBoost does if they are not ASCII.",
                remedy="give a sample whose column has the same categories as in training, in the "
                "same order",
            )
        else:
            found[name] = kept
    return found


def refuse_missing_category(missing: float) -> None:
    """Raise an error if a number that can be a category counts as missing.

    XGBoost 3.2 looks for missing values among the numbers that pandas gives the categories of the
    current frame, before it maps them to words. So with ``missing=0`` the first category of each
    frame is missing.

    Raises:
        ExportError: ``missing`` is such a number.
    """
    if missing >= 0 and missing.is_integer():
        raise ExportError(
            f"the model has categories and missing={missing:g}: which category XGBoost treats "
            "as missing depends on the order of the categories in the frame that it is given, "
            "which a pack does not see.",
            remedy="train it with missing=numpy.nan, the default, and put NaN where a number is "
            f"missing: frame[numbers] = frame[numbers].replace({missing:g}, numpy.nan)",
        )


def _own(sample: Any, name: str) -> list[Any]:
    """Return the categories of a frame's column; empty if the column is missing."""
    for column in getattr(sample, "columns", ()):
        if str(column) == name and hasattr(sample[column], "cat"):
            return list(sample[column].cat.categories)
    return []


def _same(own: list[Any], kept: list[Any]) -> bool:
    """Return whether these are the kept names: the same text, cut after as many bytes."""
    if not all(isinstance(value, str) for value in (*own, *kept)):
        return own == kept
    cut = [value.encode(errors="surrogateescape") for value in kept]
    whole = "".join(own).encode(errors="surrogateescape")
    return list(map(len, own)) == list(map(len, cut)) and whole.startswith(b"".join(cut))
