"""Rows by column name, as JSON objects, JSON columns and CSV."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.errors import FeedError
from onnxpack.server.errors import RequestError
from onnxpack.server.http import predict
from onnxpack.server.http.records import has_columns, read_csv
from onnxpack.signature import Signature, TensorSpec

SPECS = (
    TensorSpec("age", "int64", ("batch", 1)),
    TensorSpec("bmi", "float32", ("batch", 1)),
    TensorSpec("city", "str", ("batch", 1)),
    TensorSpec("smokes", "bool", ("batch",)),
)
SIGNATURE = Signature(SPECS, ())
SERVED: Any = SimpleNamespace(signature=SIGNATURE)
ROWS = [
    {"city": "Ulm", "age": 30, "bmi": 22.5, "smokes": True, "name": "A"},
    {"smokes": False, "bmi": None, "age": 41, "city": None},
]
CSV = """smokes,name,bmi,age,city
true,A,22.5,30,Ulm
False,"B, C",,41,
"""


def read(body: str, kind: str = "application/json") -> Any:
    return predict._read(SERVED, kind, body.encode())


def same(found: Any) -> None:
    assert {name: array.dtype.name for name, array in found.feeds.items()} == {
        "age": "int64",
        "bmi": "float32",
        "city": "object",
        "smokes": "bool",
    }
    assert found.feeds["age"].tolist() == [[30], [41]]
    assert found.feeds["bmi"][0].tolist() == [22.5]
    assert math.isnan(found.feeds["bmi"][1, 0])
    assert found.feeds["city"].tolist() == [["Ulm"], [""]]
    assert found.feeds["smokes"].tolist() == [True, False]
    assert found.ignored == ("name",)


def test_objects_columns_and_csv_are_the_same() -> None:
    same(read(json.dumps(ROWS)))
    same(read(json.dumps({name: [row.get(name) for row in ROWS] for name in ROWS[0]})))
    same(read(CSV, "text/csv"))
    same(read("\ufeff" + CSV.replace("\n", "\r\n"), "text/csv"))


def test_tensors_are_read_as_before() -> None:
    body = {"age": [[30]], "bmi": [[22.5]], "city": [["Ulm"]], "smokes": [True]}
    assert {name: array.tolist() for name, array in read(json.dumps(body)).feeds.items()} == body


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ([ROWS[0], 5], "json", "row 1 is a int, expected an object"),
        ([{"age": 1}], "json", "row 0 has no 'bmi'; expected the columns age, bmi, city, smokes"),
        ([{**ROWS[0], "age": 30.5}], "json", "row 0: 'age' is '30.5', expected a number of int64"),
        ([{**ROWS[0], "age": None}], "json", "row 0: 'age' is 'None', expected a number of int64"),
        ([{**ROWS[0], "age": 2**63}], "json", "'age' is '9223372036854775808', expected a number"),
        ([{**ROWS[0], "age": True}], "json", "'age' is 'True', expected a number of int64"),
        ([{**ROWS[0], "bmi": 1e39}], "json", "'bmi' is '1e\\+39', expected a number of float32"),
        ([{**ROWS[0], "bmi": "1"}], "json", "'bmi' is '1', expected a number of float32"),
        ([{**ROWS[0], "city": 5}], "json", "'city' is '5', expected a text"),
        ([{**ROWS[0], "smokes": 1}], "json", "'smokes' is '1', expected true or false"),
        ({"age": [1]}, "json", "there is no column 'bmi'; expected the columns age, bmi"),
        ({**ROWS[0]}, "json", "column 'age' is a int, expected a list"),
        (
            {"age": [1], "bmi": [1, 2], "city": ["a"], "smokes": [True]},
            "json",
            "the columns have different lengths: age has 1, bmi has 2",
        ),
        ("age,bmi,city\n1,2,a\n", "csv", "there is no column 'smokes'"),
        ("age,bmi,city,smokes\n", "csv", "a header and no rows"),
        ("", "csv", "not CSV with a header"),
        ("age,bmi,city,smokes\n1,2\n", "csv", "row 0 has 2 cells, expected 4"),
        ("age,age,bmi,city,smokes\n1,1,2,a,true\n", "csv", "2 columns named 'age'"),
        ("age,bmi,city,smokes\nx,2,a,true\n", "csv", "row 0: 'age' is 'x', expected a number"),
        ("age,bmi,city,smokes\n1,2,a,yes\n", "csv", "'smokes' is 'yes', expected true or false"),
        ('age,bmi\n"1,2\n', "csv", "not CSV with a header"),
    ],
)
def test_what_does_not_fit_is_named(body: Any, kind: str, message: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(RequestError, match=message) as refused:
        read(text, "text/csv" if kind == "csv" else "application/json")
    assert refused.value.status == 400


def test_csv_is_only_for_columns() -> None:
    wide = Signature((TensorSpec("x", "float32", ("batch", 4)),), ())
    assert has_columns(SIGNATURE)
    assert not has_columns(wide)
    with pytest.raises(RequestError, match="send application/json, image"):
        predict._read(SimpleNamespace(signature=wide), "text/csv", b"x\n1\n")


@given(st.binary(max_size=200))
def test_any_bytes_give_arrays_or_a_refusal(body: bytes) -> None:
    for media in ("text/csv", "application/json"):
        with suppress(RequestError, FeedError):
            predict._read(SERVED, media, body)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(width=32)), min_size=1))
def test_numbers_of_csv_survive_exactly(rows: list[tuple[int, float]]) -> None:
    signature = Signature(SPECS[:2], ())
    text = "age,bmi\n" + "".join(f"{age},{bmi!r}\n" for age, bmi in rows)
    if any(math.isinf(bmi) for _, bmi in rows):
        with pytest.raises(RequestError, match="expected a number of float32"):
            read_csv(text.encode(), signature)
        return
    found = read_csv(text.encode(), signature).feeds
    assert found["age"].ravel().tolist() == [age for age, _ in rows]
    np.testing.assert_array_equal(found["bmi"].ravel(), np.float32([bmi for _, bmi in rows]))
