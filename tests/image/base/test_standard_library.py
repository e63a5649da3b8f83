"""What a base leaves out of Python's own library is nothing that serving imports."""

import re
import subprocess
import sys

import pytest

from onnxpack.image.base.standard_library import UNUSED

IMPORTS = """
import importlib, pkgutil, sys
import uvicorn.protocols.http.httptools_impl, uvloop, onnxruntime, numpy.linalg
for name in ("pack", "runtime", "server"):
    package = importlib.import_module(f"onnxpack.{name}")
    for found in pkgutil.walk_packages(package.__path__, f"onnxpack.{name}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print(*sys.modules)
"""


def paths(module):
    as_path = module.replace(".", "/")
    yield f"usr/lib/python3.11/{as_path}.py"
    yield f"usr/lib/python3.11/{as_path}/__init__.py"
    yield f"usr/lib/python3.11/lib-dynload/{module}.cpython-311-x86_64-linux-gnu.so"


def test_nothing_that_serving_imports_is_left_out():
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.main(){IMPORTS}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    modules = set(done.stdout.split()) - {"sitecustomize"}
    assert {"http.server", "onnxpack.server.run", "onnxruntime"} <= modules
    met = [each for each in modules for path in paths(each) if re.fullmatch(UNUSED, path)]
    assert met == []


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("usr/lib/python3.11/xml/etree/ElementTree.py", True),
        ("usr/lib/python3.13/asyncio/windows_events.py", True),
        ("usr/lib/python3.11/lib-dynload/pyexpat.cpython-311-x86_64-linux-gnu.so", True),
        ("usr/lib/python3.11/encodings/mac_roman.py", True),
        ("usr/lib/python3.11/encodings/iso8859_2.py", True),
        ("usr/lib/python3.11/encodings/iso8859_15.py", False),
        ("usr/lib/python3.11/encodings/cp437.py", False),
        ("usr/lib/python3.11/encodings/utf_8.py", False),
        ("usr/lib/python3.11/asyncio/unix_events.py", False),
        ("usr/lib/python3.11/xmlfoo.py", False),
    ],
)
def test_what_the_pattern_meets(path, left_out):
    assert bool(re.fullmatch(UNUSED, path)) is left_out
