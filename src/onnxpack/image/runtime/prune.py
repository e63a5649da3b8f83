"""Rules for files of installed packages that serving never opens.

Each rule is a pattern of a path below the folder of packages. The tests serve predictions from the
remaining files; ``tests/image/runtime/test_prune.py`` checks that each rule still matches a file.
"""

from __future__ import annotations

import re

RULES = {
    # The extension module contains this library as well; Python never loads this copy.
    r"onnxruntime/capi/libonnxruntime\.so\..*": "a second copy of onnxruntime",
    r"onnxruntime/(backend|datasets|quantization|tools|transformers)/.*": "tools for making models",
    r"(google|flatbuffers|packaging)/.*": "onnxruntime requires and never imports them",
    r"(protobuf|flatbuffers|packaging)-[^/]*\.dist-info/.*": "the same",
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
_LEFT_OUT = re.compile("|".join(f"(?:{pattern})" for pattern in RULES))


def is_kept(path: str) -> bool:
    """Return whether a file goes into the image; ``path`` is relative to the folder of packages."""
    return _LEFT_OUT.fullmatch(path) is None
