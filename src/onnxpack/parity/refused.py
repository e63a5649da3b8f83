"""Notes about sizes that the model itself refuses, where a graph may answer.

A strategy names sizes at which its graph may be wrong, such as those behind ``if n > 120``. If the
model raises an error there, nothing can be proven, and nothing in ONNX raises that error in the
pack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from onnxpack.pack.manifest import SkippedCase

Limits: TypeAlias = Mapping[str, tuple[float, float]]
"""The smallest and the largest size of a dim for which an exporter made its graphs."""
SHOWN = 3
"""Number of sizes and reasons that a note shows; pack.json has them all."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Sizes of the dynamic dims at which the model raises an error.

    Attributes:
        dims: the sizes.
        own: the sample's sizes.
        reason: the model's error, and the line of the user's code.
    """

    dims: Mapping[str, int]
    own: Mapping[str, int]
    reason: str

    @property
    def case(self) -> SkippedCase:
        """The case as the manifest records it, with the model's reason."""
        return SkippedCase(at_sizes(self.dims), self.reason)

    @property
    def changed(self) -> tuple[str, int] | None:
        """The only dim of another size than the sample's; None if there are several."""
        changed = [(dim, size) for dim, size in self.dims.items() if size != self.own[dim]]
        return changed[0] if len(changed) == 1 else None


def at_sizes(dims: Mapping[str, int]) -> str:
    """Return the sizes of dims as text: ``batch=2, tokens=5``."""
    return ", ".join(f"{dim}={size}" for dim, size in dims.items())


def doubts_of_refused_sizes(
    refused: Iterable[Refused],
    skipped: Sequence[SkippedCase],
    answered: Sequence[Mapping[str, int]],
    limits: Limits,
) -> Iterator[str]:
    """Yield a note for each error that the model raises only at sizes beyond those of the cases.

    Args:
        refused: the sizes that the model refuses, of those that a strategy named.
        skipped: the usual cases that the model refuses, which have a note already.
        answered: the sizes that the model answers.
        limits: the sizes for which the exporter made its graphs.
    """
    reasons: dict[str, dict[str, None]] = {}
    for each in refused:
        if not _is_known(each, skipped):
            reasons.setdefault(each.reason, {})[_where(each, answered, limits)] = None
    for reason, places in list(reasons.items())[:SHOWN]:
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        yield (
            f"the model itself refuses {'; '.join(list(places)[:SHOWN])}{more} ({reason}); if the "
            "pack answers there, its answer is not proven"
        )


def _is_known(refused: Refused, skipped: Iterable[SkippedCase]) -> bool:
    """Return whether a case has shown the same error, or that sizes on that side are refused."""
    changed = refused.changed
    for case in skipped:
        if case.reason == refused.reason:
            return True
        found = re.search(rf"\b{re.escape(changed[0])}=(\d+)\b", case.name) if changed else None
        if changed is not None and found is not None:
            dim, size = changed
            own, shown = refused.own[dim], int(found[1])
            if own < size <= shown or 0 < shown <= size < own:
                return True
    return False


def _where(refused: Refused, answered: Sequence[Mapping[str, int]], limits: Limits) -> str:
    """Return the refused sizes: beyond a limit if one is known, and no answer contradicts it."""
    beyond = []
    for dim, size in refused.dims.items():
        low, high = limits.get(dim, (size, size))
        seen = [dims[dim] for dims in answered if dim in dims]
        if size > high >= max(seen, default=high):
            beyond.append(f"{dim} above {high:.0f}")
        if size < low <= min(seen, default=low):
            beyond.append(f"{dim} below {low:.0f}")
    return beyond[0] if len(beyond) == 1 else at_sizes(refused.dims)
