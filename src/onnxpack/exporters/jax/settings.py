"""Keep JAX's process-wide settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from onnxpack.exporters.exclusive import settings_kept
from onnxpack.exporters.replaced import existing


@contextmanager
def jax_settings_kept() -> Iterator[None]:
    """Restore every flag of ``jax.config`` at the end; jax2onnx and models may set some."""
    with settings_kept([(_flags, _set_flags)]):
        yield


def _flags() -> dict[str, Any]:
    return dict(existing(jax.config, "values"))


def _set_flags(before: dict[str, Any]) -> None:
    now = jax.config.values
    for name in [name for name, value in before.items() if now[name] is not value]:
        jax.config.update(name, before[name])
