"""The exception with which a command reports a failed check."""

from __future__ import annotations


class NotOkError(Exception):
    """The check failed, and everything about it was already printed."""
