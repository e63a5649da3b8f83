"""Write the access log: one line of JSON for each request."""

from __future__ import annotations

import logging
from time import time

import orjson

from onnxpack.notebook import in_json

_access = logging.getLogger("onnxpack.access")


def log_access(
    method: str, path: str, status: int | str, seconds: float, request_id: bytes
) -> None:
    """Log one request; ``status`` is an HTTP status, or the name of a gRPC code."""
    record = {
        "time": round(time(), 3),
        "method": method,
        "path": path,
        "status": status,
        "seconds": round(seconds, 6),
        "request_id": request_id.decode("latin-1") or None,
    }
    _access.info(in_json(orjson.dumps(record).decode()))
