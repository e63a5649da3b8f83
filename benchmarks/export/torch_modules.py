"""Small PyTorch modules that people really write; see ``modules/``."""

from __future__ import annotations

from collections.abc import Iterator

from case import Case
from modules import (
    arithmetic,
    attention,
    control,
    functional,
    indexing,
    learners,
    networks,
    operators,
    recurrent,
    sequences,
    structures,
    vision,
    wrapped,
)

FAMILIES = (
    recurrent,
    sequences,
    attention,
    control,
    indexing,
    arithmetic,
    operators,
    vision,
    networks,
    learners,
    structures,
    wrapped,
    functional,
)


def cases() -> Iterator[Case]:
    for family in FAMILIES:
        yield from family.cases()
