"""Find checks of values, which a model makes in every call and no graph keeps."""

from __future__ import annotations

from typing import Any

import torch

SILENT = (
    "forward() raises errors (raise, assert), but a graph cannot: the pack answers where the "
    "model would raise"
)
CHECKS_VALUES = {"_assert_async", "_functional_assert_async", "_is_all_true"}
"""Functions of torch that check a tensor without a decision in Python; the last one stands in
programs of ``torch.export`` whose distributions are checked."""
CHECKS = (
    "_check", "_check_index", "_check_is_size", "_check_not_implemented", "_check_type",
    "_check_value", "_check_with",
)  # fmt: skip
"""Functions of torch that raise an error for a condition of Python: on a size, or on a value."""


def checks_values(program: torch.export.ExportedProgram) -> bool:
    """Return whether a program of ``torch.export`` has checks of tensors."""
    return any(_name(node.target) in CHECKS_VALUES for node in program.graph.nodes)


def _name(target: Any) -> str:
    packet = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet))
