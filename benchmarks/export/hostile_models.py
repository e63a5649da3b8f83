"""Models that mislead exporters: a refusal is as right as a proof, and wrong is only a wrong pack.

The tests hold many more of each kind (``tests/hostile``); these show up beside the others' rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import hostile_subclasses
from case import Case
from modules import decisions, operands


def cases() -> Iterator[Case]:
    """Branching, low precision, masks, sizes as integers, subclasses."""
    yield from decisions.cases()
    yield from operands.cases()
    yield from hostile_subclasses.cases()
