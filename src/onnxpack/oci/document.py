"""JSON documents: written canonically, read with bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from onnxpack.errors import ImageError

MAX_BYTES = 4 * 2**20


def encode(document: Mapping[str, Any]) -> bytes:
    """The one way to write it: sorted keys, no blanks, UTF-8."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def decode(content: bytes, *, what: str) -> dict[str, Any]:
    """Read an object of JSON.

    Raises:
        ImageError: it is too big, or is not an object of JSON.
    """
    if len(content) > MAX_BYTES:
        raise ImageError(f"{what} has more than {MAX_BYTES} bytes.")
    try:
        found = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise ImageError(f"{what} is not JSON: {exc}.") from exc
    if not isinstance(found, dict):
        raise ImageError(f"{what} is {type(found).__name__} in JSON, not an object.")
    return found


def strings(found: object, *, what: str) -> dict[str, str]:
    """Read a mapping of strings, or nothing at all.

    Raises:
        ImageError: it is something else.
    """
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ImageError(f"{what} is not a mapping of strings.")
    return dict(found)


def objects(found: object, *, what: str) -> list[dict[str, Any]]:
    """Read a list of objects.

    Raises:
        ImageError: it is something else.
    """
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ImageError(f"{what} is not a list of objects.")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
