"""Format large numbers and sizes of files for people."""

from __future__ import annotations


def size(count: float) -> str:
    """Return a number of bytes with a unit: ``46.8 MB``."""
    return f"{quantity(count)}B"


def quantity(count: float) -> str:
    """Return a large number with a prefix, before a unit: ``1.81 G``."""
    for prefix in ("", "k", "M", "G"):
        if abs(count) < 999.5:
            return f"{count:.3g} {prefix}"
        count /= 1000
    return f"{count:,.3g} T" if count < 999.5 else f"{count:,.0f} T"
