"""A server for the tests of the page: prints its address, and what it is told to serve.

``python page_server.py PACK [PACK…] [--key KEY] [--port PORT] [--no-prove]``
"""

from __future__ import annotations

import argparse

import onnxpack


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("packs", nargs="+")
    parser.add_argument("--key", action="append", default=[])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--no-prove", action="store_true")
    given = parser.parse_args()
    settings = onnxpack.Settings(
        port=given.port, api_keys=tuple(given.key), prove=not given.no_prove
    )
    onnxpack.serve(given.packs, settings, announce=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main()
