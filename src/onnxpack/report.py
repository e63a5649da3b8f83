"""A report: all the findings of a check, not the first."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec


class Level(Enum):
    """How much a finding weighs: only an error makes a check say no."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """One thing that a check looked at.

    Attributes:
        level: its weight.
        subject: what was looked at: a file, an output, a provider.
        message: what was found, and what was expected where that differs.
        remedy: the line to type next; empty where there is none.
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
        """The findings that make the check say no."""
        return tuple(finding for finding in self.findings if finding.level is Level.ERROR)

    def __add__(self, other: Report) -> Report:
        return Report(self.findings + other.findings)

    def to_json(self) -> bytes:
        """The report as JSON, with its verdict."""
        return msgspec.json.encode({"ok": self.ok, "findings": self.findings})


def ok(subject: str, message: str) -> Finding:
    """A finding that all is well."""
    return Finding(Level.OK, subject, message)


def warning(subject: str, message: str, remedy: str = "") -> Finding:
    """A finding that a person should know and no check fails on."""
    return Finding(Level.WARNING, subject, message, remedy)


def error(subject: str, message: str, remedy: str = "") -> Finding:
    """A finding that makes the check say no."""
    return Finding(Level.ERROR, subject, message, remedy)


def report(findings: Iterable[Finding]) -> Report:
    """A report of these findings."""
    return Report(tuple(findings))
