"""Names of packs: refused early, and made of whatever a folder is called."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnxpack
from onnxpack.errors import UsageError
from onnxpack.pack.name import NAME, check_name, name_after


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "a" * 129, "ä", "a\n"])
def test_names_that_no_manifest_holds(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a pack"):
        check_name(name, "1")


def test_versions() -> None:
    check_name("net", "1.0+cpu")
    with pytest.raises(UsageError, match=r"'1\.0 final' cannot be the version of a pack"):
        check_name("net", "1.0 final")


@given(st.text(max_size=200))
def test_every_folder_gives_a_name(folder: str) -> None:
    assert re.match(NAME, name_after(folder))


def test_a_name_stays() -> None:
    assert name_after("my_model-1.0") == "my_model-1.0"


def test_it_is_refused_before_the_model_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'my net' cannot be the name"):
        onnxpack.export(None, np.zeros(1), tmp_path / "pack", name="my net")
    assert list(tmp_path.iterdir()) == []
