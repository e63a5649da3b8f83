from __future__ import annotations

import inspect
import re

import pytest

from onnxpack import errors
from onnxpack.errors import MissingExtraError, OnnxpackError, PackError

EVERY = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, OnnxpackError)
]


def test_the_remedy_follows_the_message() -> None:
    error = PackError("it is broken.", remedy="mend it")
    assert str(error) == "it is broken.\n  → mend it"
    assert (error.message, error.remedy) == ("it is broken.", "mend it")
    assert str(PackError("it is broken.")) == "it is broken."


def test_a_missing_extra_says_what_to_type() -> None:
    error = MissingExtraError("torch", extra="torch")
    assert "'torch' is needed" in error.message
    assert error.remedy == 'pip install "onnxpack[torch]"'


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^ {4}([│├└─ ]*)(\w+Error) ", errors.__doc__ or "", re.MULTILINE)
    assert {name for _, name in drawn} == {found.__name__ for found in EVERY}
    parents = [OnnxpackError]
    for branch, name in drawn[1:]:
        found = getattr(errors, name)
        depth = 1 + (len(branch) > 4)
        assert found.__bases__ == (parents[depth - 1],)
        parents[depth:] = [found]


@pytest.mark.parametrize("found", EVERY)
def test_every_error_is_caught_by_one_name(found: type[OnnxpackError]) -> None:
    assert issubclass(found, OnnxpackError)
    assert not issubclass(found, (ValueError, TypeError, OSError))
    assert found.__doc__
