"""Parse ``WWW-Authenticate``, in which a registry says with a 401 what it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|$)")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
MAX_CHALLENGE = 2**14


@dataclass(frozen=True, slots=True)
class Challenge:
    """An authentication scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(lines: Sequence[str]) -> tuple[Challenge, ...]:
    """Return every challenge of the headers; what cannot be parsed is left out."""
    found: list[Challenge] = []
    for line in lines:
        at, text = 0, line[:MAX_CHALLENGE]
        while scheme := _SCHEME.match(text, at):
            at, parameters = scheme.end(), {}
            while one := _PARAMETER.match(text, at):
                quoted = one[2]
                value = one[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters[one[1].lower()] = value
                at = one.end()
            found.append(Challenge(scheme[1].lower(), parameters))
    return tuple(found)
