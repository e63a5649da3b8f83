"""No operator makes more than is computed for it: ONNX's own cases of each say what it makes.

Collecting the cases takes ten seconds.
"""

import warnings
from collections import Counter

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from onnxpack.pack.bounds.attributes import read_attributes
from onnxpack.pack.bounds.constant import OMITTED, Constant, of_array
from onnxpack.pack.bounds.evaluate import RULES as EVALUATED
from onnxpack.pack.bounds.evaluate import evaluate
from onnxpack.pack.bounds.messages import read_model
from onnxpack.pack.bounds.sizes import RULES, output_of


@pytest.fixture(scope="module")
def cases():
    """Each case of one node: the node as it is read, its inputs and its outputs."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(collect_testcases(None))
    made = []
    for case in found:
        node = read_model(memoryview(case.model.SerializeToString())).graph.nodes
        graph = case.model.graph
        if len(node) != 1 or node[0].operator not in {*RULES, *EVALUATED}:
            continue
        names = [value.name.encode() for value in graph.input]
        outputs = [value.name.encode() for value in graph.output]
        for inputs, expected in case.data_sets:
            if any(isinstance(value, list) or value is None for value in (*inputs, *expected)):
                continue  # a sequence or an optional
            given = dict(zip(names, map(to_array, inputs), strict=True))
            answers = dict(zip(outputs, map(to_array, expected), strict=True))
            made.append((case.name, node[0], given, answers))
    return made


def to_array(value):
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def test_no_operator_makes_more_than_is_computed(cases):
    computed = Counter()
    for name, node, given, expected in cases:
        known = [of_array(given[each]) if each else OMITTED for each in node.inputs]
        first = expected.get(node.outputs[0])
        if first is None:
            continue
        for inputs in (known, [hidden(each) for each in known], [flat(each) for each in known]):
            made = output_of(node.operator, inputs, read_attributes(node))
            if made is None:
                continue
            computed[node.operator] += 1
            assert made.elements >= first.size, name
            if made.exact:
                assert made.shape == first.shape, name
    # Without a case: what draws at random, and what ONNX has no case of one output for.
    assert {*RULES} - {*computed} <= {"RandomNormal", "RandomUniform", "Upsample"}


def hidden(constant):
    """Large constants have no values; the sizes that are given still do."""
    few = constant.values is not None and constant.values.dtype.kind == "i"
    return constant if few else Constant(constant.shape, constant.item)


def flat(constant):
    return constant if constant.values is not None and constant.values.ndim < 2 else constant.flat


def test_what_is_evaluated_is_what_onnx_computes(cases):
    computed = Counter()
    for name, node, given, expected in cases:
        if not all(node.inputs):
            continue
        values = [given[each] for each in node.inputs]
        found = evaluate(node.operator, values, read_attributes(node))
        answer = expected.get(node.outputs[0])
        if found is None or answer is None:
            continue
        computed[node.operator] += 1
        assert found.shape == answer.shape, name
        assert np.allclose(found.astype(float), answer.astype(float), rtol=1e-5, equal_nan=True), (
            name
        )
    assert {*EVALUATED} - {*computed} == set()
