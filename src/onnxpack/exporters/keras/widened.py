"""Make a float64 copy of a Keras model, to measure what float32 costs the model itself."""

from __future__ import annotations

import warnings
from typing import Any

NARROW, WIDE = "float32", "float64"


def widened(model: Any) -> Any | None:
    """Return a copy whose layers compute in float64; None if the model cannot be rebuilt."""
    import keras

    try:
        config = _replaced(keras.saving.serialize_keras_object(model))
        # The config comes from the user's own model in this process, so it is safe to load.
        with keras.saving.custom_object_scope(_classes(model)):
            copy = keras.saving.deserialize_keras_object(config, safe_mode=False)
        if not copy.built:
            copy.build_from_config(model.get_build_config())
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            copy.set_weights(model.get_weights())
    except Exception:  # noqa: BLE001 - a user's config can fail in any way
        return None
    return copy


def _replaced(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            key: _replaced(value)
            for key, value in config.items()
            if key not in ("compile_config", "build_config")
        }
    if isinstance(config, list | tuple):
        return [_replaced(value) for value in config]
    return WIDE if config == NARROW else config


def _classes(model: Any) -> dict[str, Any]:
    return {type(layer).__name__: type(layer) for layer in model._flatten_layers()}  # noqa: SLF001
