"""Rules for files of installed packages that serving never opens.

Each rule is a pattern of a path below the folder of packages. The tests serve predictions from the
remaining files; ``tests/image/runtime/test_prune.py`` checks that each rule still matches a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

RULES = {
    # The extension module contains this library as well; Python never loads this copy.
    r"onnxruntime/capi/libonnxruntime\.so\..*": "a second copy of onnxruntime",
    r"onnxruntime/(backend|datasets|quantization|tools|transformers)/.*": "tools for making models",
    r"(flatbuffers|packaging)/.*": "onnxruntime requires and never imports them",
    r"(flatbuffers|packaging)-[^/]*\.dist-info/.*": "the same",
    r"google/.*": "the same, for protobuf, unless gRPC is served",
    r"protobuf-[^/]*\.dist-info/.*": "the same",
    r"numpy/(f2py|testing|distutils|_pyinstaller|doc)/.*": "tools for building and testing",
    r"numpy/_core/(_simd|_[a-z_]+_tests)\..*": "the same",
    r"numpy/(fft|ma|polynomial|random|core)/.*": "numpy loads them only on request",
    r"(.*/)?tests?/.*": "tests",
    r"(.*/)?include/.*|.*\.(pxd|pyx|pyi|h|hpp|c|cpp|a|f|f90)": "sources",
    r"bin/.*|share/.*": "scripts and manual pages",
    r"(.*/)?__pycache__/.*": "byte code of the interpreter that compiled it",
    r"[^/]*\.dist-info/(RECORD|direct_url\.json|INSTALLER|REQUESTED|uv_cache\.json)": "uv's notes",
    r"\.lock": "uv's",
}
"""Patterns of paths, with the reason why matching files are left out."""
OF_GRPC = frozenset({r"google/.*", r"protobuf-[^/]*\.dist-info/.*"})
"""The rules that do not hold if gRPC is served: its messages are protobuf's."""


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_LEFT_OUT = {False: _any_of(RULES), True: _any_of(rule for rule in RULES if rule not in OF_GRPC)}


def has_grpc(folder: Path) -> bool:
    """Return whether a folder of packages has those that gRPC needs."""
    return (folder / "grpc").is_dir()


def is_kept(path: str, *, grpc: bool = False) -> bool:
    """Return whether a file goes into the image.

    Args:
        path: the file, relative to the folder of packages.
        grpc: whether the image serves gRPC.
    """
    return _LEFT_OUT[grpc].fullmatch(path) is None
