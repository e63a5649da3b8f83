"""The categories of a data frame's columns, as a booster keeps them."""

from __future__ import annotations

from typing import Any

from onnxpack.errors import ExportError, SampleError
from onnxpack.exporters.xgboost.model import Description


def read_categories(description: Description, sample: Any) -> dict[str, list[Any]]:
    """Return what the booster knows of each column that has any.

    XGBoost keeps texts as one run of UTF-8 and bounds that count characters (3.2), so that it
    cuts names with an umlaut at the wrong place. It cuts those of a frame as it did in training;
    so where the whole run is the sample's, the sample's own names are what it knows.

    Raises:
        SampleError: names are cut wrong, and the sample does not show the right ones.
    """
    found = {}
    for name, kept in description.known_categories().items():
        own = _own(sample, name)
        if _same(own, kept):
            found[name] = own
        elif any(isinstance(value, str) and not value.isascii() for value in kept):
            raise SampleError(
                f"the booster keeps the categories of column {name!r} cut at wrong places, as "
                "XGBoost does where they are not ASCII.",
                remedy="give a sample whose column has the categories of training, in their order",
            )
        else:
            found[name] = kept
    return found


def refuse_missing_category(missing: float) -> None:
    """Refuse a model with categories for which a number that can be a category is missing.

    XGBoost (3.2) looks for what is missing among the numbers that pandas gives the categories of
    the very frame, before it finds out which words they are. So with ``missing=0`` the first
    category of whatever frame is asked is missing.

    Raises:
        ExportError: it is such a number.
    """
    if missing >= 0 and missing.is_integer():
        raise ExportError(
            f"the model has categories and missing={missing:g}: which category XGBoost takes as "
            "missing hangs on the order of the categories in the frame that it is asked, which a "
            "pack does not see.",
            remedy="train it with missing=numpy.nan, the default, and put NaN where a number is "
            f"missing: frame[numbers] = frame[numbers].replace({missing:g}, numpy.nan)",
        )


def _own(sample: Any, name: str) -> list[Any]:
    """Return the categories of a frame's column; none where there is no such column."""
    for column in getattr(sample, "columns", ()):
        if str(column) == name and hasattr(sample[column], "cat"):
            return list(sample[column].cat.categories)
    return []


def _same(own: list[Any], kept: list[Any]) -> bool:
    """Return whether these are the names that were kept: their run, cut after as many bytes."""
    if not all(isinstance(value, str) for value in (*own, *kept)):
        return own == kept
    cut = [value.encode(errors="surrogateescape") for value in kept]
    whole = "".join(own).encode(errors="surrogateescape")
    return list(map(len, own)) == list(map(len, cut)) and whole.startswith(b"".join(cut))
