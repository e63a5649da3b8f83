"""Why an estimator was not exported, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxpack.exporters.subject import Attempt, Cause


def diagnose(model: Any, attempts: Sequence[Attempt]) -> Cause | None:
    """The likely cause, from what the strategies said and from what the model is made of."""
    return None
