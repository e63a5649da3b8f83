"""Exit with 0 if this container's server is ready, else 1.

Run it as ``python -m onnxpack.server.alive``.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException

SECONDS = 2.0


def main(port: int = 8000) -> int:
    """Return 0 if the server answers that it is ready, else 1."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
