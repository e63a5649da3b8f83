"""Facts about an object, as text for a terminal and as a table for a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

Facts: TypeAlias = "Iterable[tuple[str, str]]"
"""Pairs of a name and a value; facts without a value are left out."""


def to_text(title: str, facts: Facts) -> str:
    """Return a title and one line for each fact."""
    shown = [(one_line(name), one_line(value)) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    lines = [one_line(title), *(f"  {name:{width}}  {value}" for name, value in shown)]
    return "\n".join(lines)


def to_html(title: str, facts: Facts) -> str:
    """Return a title and a table of the facts, as HTML without scripts or styles from elsewhere."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in facts
        if value
    )
    return f"<b>{escape(title)}</b><table>{rows}</table>"


def printable(text: str) -> str:
    """Return the text with control characters escaped, except line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def one_line(text: str) -> str:
    """Return the text with line breaks escaped too, so that a name cannot pose as a line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
