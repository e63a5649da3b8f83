"""Keep Keras's process-wide settings, and variables that a backend keeps outside of Python."""

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
"""Name of Keras's counters, which number layers without a name: ``dense_3``."""


@contextmanager
def keras_settings_kept(model: Any) -> Iterator[None]:
    """Restore Keras's defaults and name counters, and the model's non-trainable variables.

    A copy of a model takes new names, which would change the name of the user's next layer. A
    variable of TensorFlow is changed in place, without any trace in Python.
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
