"""Facts about an object, as text for a terminal and as a table for a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

Facts: TypeAlias = "Iterable[tuple[str, str]]"
"""Pairs of a name and a value; facts without a value are left out."""


def to_text(title: str, facts: Facts) -> str:
    """Return a title and one line for each fact."""
    shown = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join([title, *(f"  {name:{width}}  {value}" for name, value in shown)])


def to_html(title: str, facts: Facts) -> str:
    """Return a title and a table of the facts, as HTML without scripts or styles from elsewhere."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in facts
        if value
    )
    return f"<b>{escape(title)}</b><table>{rows}</table>"
