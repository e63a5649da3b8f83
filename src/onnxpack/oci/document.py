"""JSON documents: written in one canonical form, read with limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from onnxpack.errors import ImageError

MAX_BYTES = 4 * 2**20


def encode(document: Mapping[str, Any]) -> bytes:
    """Return the document as canonical JSON: sorted keys, no blanks, UTF-8."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def decode(content: bytes, *, what: str) -> dict[str, Any]:
    """Read a JSON object, within limits.

    Raises:
        ImageError: the content is too big, or not a JSON object.
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
    """Return a mapping of strings; a missing one is empty.

    Raises:
        ImageError: the value is something else.
    """
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ImageError(f"{what} is not a mapping of strings.")
    return dict(found)


def objects(found: object, *, what: str) -> list[dict[str, Any]]:
    """Return a list of JSON objects.

    Raises:
        ImageError: the value is something else.
    """
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ImageError(f"{what} is not a list of objects.")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")
