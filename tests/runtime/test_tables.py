"""A table in a file gives the inputs by name, or the features of one input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnxpack.errors import UsageError
from onnxpack.runtime.tables import read_table
from onnxpack.signature import Signature, TensorSpec


def takes(*inputs: TensorSpec) -> Signature:
    return Signature(inputs, (TensorSpec("y", "int64", ("batch",)),))


CITY = TensorSpec("city", "str", ("batch", 1))
PAY = TensorSpec("pay", "float32", ("batch", 1))
AGE = TensorSpec("age", "int64", ("batch",))


def test_columns_by_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("pay,age,city,more\n1.5,30,Bern,x\n,40,,y\n")
    with pytest.warns(UserWarning, match="columns without an input are ignored: more"):
        found = read_table(path, takes(AGE, CITY, PAY))
    assert list(found) == ["age", "city", "pay"]
    np.testing.assert_array_equal(found["age"], [30, 40])
    np.testing.assert_array_equal(found["pay"], np.array([[1.5], [np.nan]], np.float32))
    # A missing text is an empty one, as at export.
    assert found["city"].tolist() == [["Bern"], [""]]


def test_postal_codes_stay_texts(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("city\n08001\n8002\n")
    assert read_table(path, takes(CITY))["city"].tolist() == [["08001"], ["8002"]]


def test_the_features_of_one_input(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3,4.5\n")
    found = read_table(path, takes(TensorSpec("X", "float32", ("batch", 2))))["X"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[1, 2], [3, 4.5]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("age,pay\n1,2\n", "has the columns age, pay; expected .*; missing: city"),
        ("age,city,pay\n1.5,x,2\n", "'age' is int64.*, but a cell is not such a number"),
        ("age,city,pay\n1,x,much\n", "'pay' is float32"),
        ("", "cannot be read"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=says):
        read_table(path, takes(AGE, CITY, PAY))


def test_an_endless_first_line_is_not_given_to_pandas(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"1," * 2**20)
    with pytest.raises(UsageError, match="its first line has more than 1048576 bytes"):
        read_table(path, takes(AGE))
