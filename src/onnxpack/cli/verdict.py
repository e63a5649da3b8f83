"""How a command says no."""

from __future__ import annotations


class NotOkError(Exception):
    """The check said no, and everything that is to be said about it was printed."""
