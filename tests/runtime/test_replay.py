from __future__ import annotations

import numpy as np
import pytest

from onnxpack.report import Level
from onnxpack.runtime.model import Model


def test_no_golden_data_proves_nothing(graphs):
    report = Model(graphs.double()).prove()
    assert [finding.level for finding in report.findings] == [Level.WARNING]
    assert report.findings[0].message == "there is no golden data: nothing was proven"


def test_every_set_and_output_has_a_finding(graphs, with_golden):
    a, b = np.full((2, 3), 2, np.float32), np.ones((2, 3), np.float32)
    good = ([("a", a), ("b", b)], [("total", a + b), ("gap", a - b)])
    bad = ([("a", a), ("b", b)], [("total", a + b), ("gap", a + b)])
    report = Model(with_golden(graphs.mix(), good, bad)).prove()
    assert [(f.subject, f.level) for f in report.findings] == [
        ("test_data_set_0/total", Level.OK),
        ("test_data_set_0/gap", Level.OK),
        ("test_data_set_1/total", Level.OK),
        ("test_data_set_1/gap", Level.ERROR),
    ]
    assert "6 of 6 elements differ" in report.errors[0].message


@pytest.mark.parametrize("names", [("", ""), ("other", "names"), ("same", "same")])
def test_tensors_without_the_graphs_names_go_by_place(graphs, with_golden, names):
    a, b = np.full((2, 3), 2, np.float32), np.ones((2, 3), np.float32)
    inputs = list(zip(names, (a, b), strict=True))
    outputs = list(zip(names, (a + b, a - b), strict=True))
    assert Model(with_golden(graphs.mix(), (inputs, outputs))).prove().ok


def test_names_win_over_places(graphs, with_golden):
    a, b = np.full((2, 3), 2, np.float32), np.ones((2, 3), np.float32)
    golden = ([("b", b), ("a", a)], [("gap", a - b), ("total", a + b)])
    assert Model(with_golden(graphs.mix(), golden)).prove().ok


def test_an_output_without_golden_data_is_not_proven(graphs, with_golden):
    a = np.ones((2, 3), np.float32)
    report = Model(with_golden(graphs.mix(), ([("a", a), ("b", a)], [("total", a + a)]))).prove()
    assert "no golden data for gap" in report.errors[0].message


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [("x", np.zeros((2, 5), np.float32))],
        [("x", np.zeros((2, 4)))],
        [("x", np.zeros((2, 4), np.float32)), ("z", np.zeros(1, np.float32))],
    ],
)
def test_a_set_that_does_not_fit_is_an_error(graphs, with_golden, inputs, x):
    good = ([("x", x)], [("y", x + x)])
    report = Model(with_golden(graphs.double(), (inputs, [("y", x)]), good)).prove()
    assert [finding.level for finding in report.findings] == [Level.ERROR, Level.OK]


def test_a_set_that_is_no_tensor_is_an_error(graphs, with_golden, x):
    pack = with_golden(graphs.double(), ([("x", x)], [("y", x)]))
    pack.golden[0].inputs[0].write_bytes(b"\xff\xff garbage")
    report = Model(pack).prove()
    assert [finding.subject for finding in report.errors] == ["test_data_set_0"]


def test_tolerance_and_noise_come_from_the_manifest(
    graphs, with_golden, with_manifest, double_signature
):
    x = np.array([[1e-4, 1, 2, 3]], np.float32)
    off = np.array([[1.2e-3, 2.01, 4, 6]], np.float32)
    near = np.array([[1.2e-3, 2, 4, 6]], np.float32)
    pack = with_golden(graphs.double(), ([("x", x)], [("y", near)]), ([("x", x)], [("y", off)]))
    strict = Model(with_manifest(pack, double_signature)).prove()
    loose = Model(with_manifest(pack, double_signature, rtol=0.1)).prove()
    noisy = Model(with_manifest(pack, double_signature, noise=0.75)).prove()
    wrong = [[finding.message for finding in report.errors] for report in (strict, loose, noisy)]
    assert [len(messages) for messages in wrong] == [2, 2, 1]
    assert wrong[0][0] == "1 of 4 elements differ: largest error 0.001, allowed 6.12e-05"
    assert wrong[1][1] == "1 of 4 elements differ: largest error 0.001, allowed 0.00018"
    assert noisy.findings[0].message == "equal: largest error 0.001, allowed 0.002, 0.002 as noise"


def test_noise_of_another_case_does_not_count(
    graphs, with_golden, with_manifest, double_signature, x
):
    pack = with_golden(
        graphs.double(), ([("x", x)], [("y", x + x)]), ([("x", x)], [("y", x + x + 0.5)])
    )
    report = Model(with_manifest(pack, double_signature, noise=0.75)).prove()
    assert [finding.subject for finding in report.errors] == ["test_data_set_1/y"]


@pytest.mark.parametrize("unordered", [(), (("boxes", "scores"),), (("boxes", "gone"),)])
def test_rows_are_a_set_only_where_the_manifest_says_so(
    graphs, with_golden, with_manifest, unordered
):
    pack = graphs.make(
        [("Identity", ["b"], ["boxes"]), ("Identity", ["s"], ["scores"])],
        [("b", 1, ["n", 4]), ("s", 1, ["n"])],
        [("boxes", 1, ["n", 4]), ("scores", 1, ["n"])],
    )
    boxes = np.array([[0, 0, 1, 1], [5, 5, 9, 9]], np.float32)
    scores = np.array([0.5, 0.5], np.float32)
    swapped = ([("b", boxes), ("s", scores)], [("boxes", boxes[::-1]), ("scores", scores)])
    other = ([("b", boxes), ("s", scores)], [("boxes", boxes + 3), ("scores", scores)])
    proven = with_golden(pack, swapped, other)
    bare = Model(proven).prove()
    signature = Model(proven).signature
    report = Model(with_manifest(proven, signature, unordered=unordered)).prove()
    both = ["test_data_set_0/boxes", "test_data_set_1/boxes"]
    assert [finding.subject for finding in bare.errors] == both
    wrong = both[1:] if unordered == (("boxes", "scores"),) else both
    assert [finding.subject for finding in report.errors] == wrong
