"""Small PyTorch modules that people really write; see ``modules/``."""

from __future__ import annotations

from collections.abc import Iterator

from case import Case
from modules import arithmetic, attention, control, indexing, recurrent, structures, vision


def cases() -> Iterator[Case]:
    for family in (recurrent, attention, control, indexing, arithmetic, vision, structures):
        yield from family.cases()
