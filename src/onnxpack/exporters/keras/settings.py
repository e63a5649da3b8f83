"""Keras' settings of the process, and the variables that a backend keeps outside of Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from onnxpack.exporters.exclusive import Setting, settings_kept
from onnxpack.exporters.replaced import existing

NAMES = "object_name_uids"
"""Keras' counters, from which a layer without a name gets one: ``dense_3``."""


@contextmanager
def keras_settings_kept(model: Any) -> Iterator[None]:
    """Restore the defaults of Keras, its counters of names, and what the model learned in passing.

    A copy of a model takes new names, and the user's next layer would be called otherwise. A
    variable of TensorFlow is changed in place, out of Python's sight.
    """
    variables = [
        (partial(_read, variable), variable.assign) for variable in model.non_trainable_variables
    ]
    with settings_kept((*SETTINGS, *variables)):
        yield


def _read(variable: Any) -> Any:
    return np.array(keras.ops.convert_to_numpy(variable))


def _counters() -> dict[str, int] | None:
    found = existing(global_state, "get_global_attribute", function=True)(NAMES)
    return None if found is None else dict(found)


def _set_counters(before: dict[str, int] | None) -> None:
    found = global_state.get_global_attribute(NAMES)
    if found is not None:
        found.clear()
        found.update(before or {})


SETTINGS: tuple[Setting, ...] = (
    (keras.config.floatx, keras.config.set_floatx),
    (keras.config.epsilon, keras.config.set_epsilon),
    (keras.config.image_data_format, keras.config.set_image_data_format),
    (keras.config.dtype_policy, keras.config.set_dtype_policy),
    (_counters, _set_counters),
)
