"""Reports: all findings of a check, not only the first."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from onnxpack.notebook import to_html, to_text

SHOWN = 12
"""Findings that a printed report shows; errors come first."""


class Level(Enum):
    """How severe a finding is; only an error makes a check fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """One thing that a check looked at.

    Attributes:
        level: how severe the finding is.
        subject: what was checked: a file, an output, a provider.
        message: the actual value, and the expected value if it differs.
        remedy: the line to type next; empty if there is none.
    """

    level: Level
    subject: str
    message: str
    remedy: str = ""


class Report(msgspec.Struct, frozen=True):
    """The findings of a check, in the order in which they were made."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the check fail."""
        return tuple(finding for finding in self.findings if finding.level is Level.ERROR)

    def __add__(self, other: Report) -> Report:
        return Report(self.findings + other.findings)

    def __repr__(self) -> str:
        return to_text(self._verdict, self.facts)

    def _repr_html_(self) -> str:
        return to_html(self._verdict, self.facts)

    @property
    def _verdict(self) -> str:
        counted = dict.fromkeys(Level, 0)
        for finding in self.findings:
            counted[finding.level] += 1
        if not self.ok:
            return f"NOT OK: {counted[Level.ERROR]} of {len(self.findings)} findings are errors"
        warned = f", {counted[Level.WARNING]} warnings" if counted[Level.WARNING] else ""
        return f"ok: {counted[Level.OK]} checks passed{warned}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The first findings as names and values, errors first."""
        order = (Level.ERROR, Level.WARNING, Level.OK)
        ranked = sorted(self.findings, key=lambda finding: order.index(finding.level))
        facts = [(f"{each.level.value} {each.subject}", each.message) for each in ranked[:SHOWN]]
        more = len(ranked) - SHOWN
        return [*facts, ("", f"and {more} more")] if more > 0 else facts

    def to_json(self) -> bytes:
        """Return the report as JSON, with the verdict under ``ok``."""
        return msgspec.json.encode({"ok": self.ok, "findings": self.findings})


def words(*, unchanged: bool, proven: bool, trusted: bool) -> str:
    """Return what is known of a pack in three words, such as ``unchanged, proven``.

    Args:
        unchanged: whether its files have the digests that its manifest names.
        proven: whether its golden data was replayed here, with the framework's answers.
        trusted: whether its digest is the one that the user gave.
    """
    held = (
        "unchanged" if unchanged else "",
        "proven" if proven else "not proven",
        "trusted" if trusted else "",
    )
    return ", ".join(word for word in held if word)


def ok(subject: str, message: str) -> Finding:
    """Return a finding that reports success."""
    return Finding(Level.OK, subject, message)


def warning(subject: str, message: str, remedy: str = "") -> Finding:
    """Return a finding to be aware of, which does not make a check fail."""
    return Finding(Level.WARNING, subject, message, remedy)


def error(subject: str, message: str, remedy: str = "") -> Finding:
    """Return a finding that makes the check fail."""
    return Finding(Level.ERROR, subject, message, remedy)


def report(findings: Iterable[Finding]) -> Report:
    """Return a report of these findings."""
    return Report(tuple(findings))
