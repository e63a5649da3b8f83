"""Read the categories of a sample, and match them to CatBoost's hashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxpack.errors import SampleError
from onnxpack.exporters.catboost.model import Codes, Description


def read_categories(description: Description, sample: Any) -> dict[str, list[Any]]:
    """Return the categories of each categorical column of the sample.

    Raises:
        SampleError: the sample is not a data frame, or has too few columns.
    """
    if not description.categorical:
        return {}
    if not hasattr(sample, "columns"):
        raise SampleError(
            "the model has categorical features, so its sample must be a data frame.",
            remedy="sample = pandas.DataFrame(sample).infer_objects()",
        )
    if len(sample.columns) < description.features:
        raise SampleError(
            f"the sample has {len(sample.columns)} columns, expected {description.features}."
        )
    found = {}
    for column in description.categorical:
        series = sample.iloc[:, column]
        values = sorted(series.dropna().unique().tolist(), key=str)
        found[str(sample.columns[column])] = values
    return found


def number_categories(
    model: Any, description: Description, known: Mapping[str, list[Any]]
) -> Codes:
    """Return the number of each category by its hash, for each categorical column.

    Raises:
        SampleError: the model tests for a category that the sample does not show.
    """
    codes = {}
    for at, (column, (name, values)) in enumerate(
        zip(description.categorical, known.items(), strict=True)
    ):
        tested = description.categorical[column]
        codes[column] = {
            tested[place]: code
            for code, place in enumerate(_place(model, value, at) for value in values)
            if place < len(tested)
        }
        unseen = len(tested) - len(codes[column])
        if unseen:
            raise SampleError(
                f"the model tests column {name!r} for {unseen} categories that the sample does "
                "not contain, and it stores only their hashes.",
                remedy="give the whole frame that the model was trained on as the sample",
            )
    return codes


def _place(model: Any, value: Any, feature: int) -> int:
    """Return the index of a category among those that are tested; past the end if it is not.

    CatBoost has no public function for this; the result is proven for each category. It reads bools
    as the integers 0 and 1.
    """
    text = str(int(value) if isinstance(value, bool) else value)
    return int(model._object._calc_cat_feature_perfect_hash(text, feature))  # noqa: SLF001
