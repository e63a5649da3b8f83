"""Compare the order of a sample's columns with that of training.

If a frame has its columns in another order, CatBoost finds them by name, LightGBM reads them by
position, and XGBoost refuses the frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def by_name(sample: Any, names: Sequence[str]) -> Any:
    """Return a frame, or a mapping of columns, with its columns in the order of these names.

    Returns:
        The sample itself if it lacks these columns, or has exactly these in this order.
    """
    columns = list(sample.columns if hasattr(sample, "columns") else ())
    own = columns or list(sample if isinstance(sample, Mapping) else ())
    places = {str(name): name for name in own}
    if len(places) != len(own) or not set(names) <= set(places) or list(places) == list(names):
        return sample
    wanted = [places[name] for name in names]
    return sample[wanted] if columns else {name: sample[name] for name in wanted}


def is_reordered(columns: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether columns have exactly these names in another order."""
    return list(columns) != list(names) and sorted(columns) == sorted(names)
