"""Facts about an object, as text for a terminal and as a table for a notebook."""

from __future__ import annotations

import json
import re
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
        f'<tr><th style="text-align:left">{in_html(name)}</th>'
        f'<td style="text-align:left">{in_html(value)}</td></tr>'
        for name, value in facts
        if value
    )
    return f"<b>{in_html(title)}</b><table>{rows}</table>"


def printable(text: str) -> str:
    """Return the text with control characters escaped, except line breaks and tabs.

    These include the ones that reverse text (U+202E) and that have no width (U+200B).
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def one_line(text: str) -> str:
    """Return the text with line breaks escaped too, so that a name cannot pose as a line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def indented(text: str) -> str:
    """Return text of several lines with each but the first indented.

    A message may quote a name with line breaks, which then cannot pose as a message of ours.
    """
    return re.sub(r"\n(?! )", "\n  ", printable(text))


def in_html(text: str) -> str:
    """Return the text on one line as HTML without markup."""
    return escape(one_line(text))


def in_json(document: str) -> str:
    """Return a JSON document that means the same, with control characters in texts escaped.

    Encoders leave those beyond ASCII as they are, and a terminal obeys them.
    """
    return re.sub(r"[^\n -~]", lambda match: _json_escape(match[0]), document)


def _json_escape(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]
