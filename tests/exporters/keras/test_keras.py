"""Keras models: names, dims that vary, backends, what is refused, hostile files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers

import onnxpack
from onnxpack.errors import (
    ExportError,
    FeedError,
    NondeterministicError,
    SampleError,
    TargetError,
)
from onnxpack.exporters.keras.exporter import KerasExporter
from onnxpack.exporters.keras.inputs import Inputs
from onnxpack.exporters.keras.widened import widened
from onnxpack.exporters.target.load import load_target
from onnxpack.pack.model import Pack


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dense() -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh")])


def held(pack: Pack, wanted: Any, **feeds: Any) -> None:
    session = onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])
    found = session.run(None, feeds)
    answers = [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(wanted)]
    for answer, output in zip(answers, found, strict=True):
        np.testing.assert_allclose(output, answer, rtol=1e-3, atol=1e-5)


def test_names_and_outputs(tmp_path: Path) -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((None, 2), name="right")
    both = layers.Concatenate()([left, layers.GlobalMaxPooling1D()(right)])
    model = keras.Model(
        [left, right], {"kind": layers.Dense(3)(both), "price": layers.Dense(1)(both)}
    )
    pack = onnxpack.export(model, None, tmp_path / "pack")
    assert pack.manifest is not None
    signature = pack.manifest.signature
    assert [(spec.name, spec.shape) for spec in signature.inputs] == [
        ("left", ("batch", 4)),
        ("right", ("batch", "length", 2)),
    ]
    assert [spec.name for spec in signature.outputs] == ["kind", "price"]
    feeds = {"left": noise(5, 4), "right": noise(5, 17, 2)}
    held(pack, model([feeds["left"], feeds["right"]]), **feeds)


@pytest.mark.parametrize("mode", ["count", "multi_hot", "one_hot"])
def test_a_category_out_of_range_is_refused(tmp_path: Path, mode: str) -> None:
    ids = keras.Input((1 if mode == "one_hot" else 3,), dtype="int32", name="ids")
    model = keras.Model(ids, layers.CategoryEncoding(5, mode)(ids))
    given = np.array([[0, 4, 4], [1, 2, 3]], np.int32)[:, : ids.shape[1]]
    pack = onnxpack.export(model, given, tmp_path / "pack")
    held(pack, model(given), ids=given)
    given[0, 0] = 7
    with pytest.raises(RuntimeError, match="Class values must be"):
        model(given)
    with pytest.raises(FeedError, match="out of data bounds"):
        onnxpack.Model(pack)(given)


def test_names_that_keras_counts_up_are_plain() -> None:
    assert list(Inputs.of(dense(), None).sample) == ["input"]
    one, two = keras.Input((4,)), keras.Input((4,))
    inputs = Inputs.of(keras.Model([one, two], layers.Add()([one, two])), None)
    assert list(inputs.sample) == ["input_0", "input_1"]


@pytest.mark.parametrize(
    ("shape", "dtype", "made"),
    [
        ((4,), "float32", (2, 4)),
        ((None, 3), "float32", (2, 12, 3)),
        ((None, None, 3), "float32", (2, 64, 64, 3)),
        ((None,), "int32", (2, 12)),
        ((2,), "bool", (2, 2)),
    ],
)
def test_a_sample_is_made(shape: Any, dtype: str, made: Any) -> None:
    inputs = keras.Input(shape, dtype=dtype, name="x")
    found = Inputs.of(keras.Model(inputs, layers.Identity()(inputs)), None)
    assert found.sample["x"].shape == made
    assert found.sample["x"].dtype == dtype
    assert found.notes == (f"the sample is random: x {made}",)


def test_floats_are_cast_as_keras_casts_them_and_bytes_are_kept() -> None:
    wide = Inputs.of(dense(), np.zeros((2, 4)))
    assert wide.sample["input"].dtype == np.float32
    assert wide.notes == ("input 'input' is converted to float32, because Keras casts float64",)
    assert Inputs.of(dense(), np.zeros((2, 4), np.uint8)).sample["input"].dtype == np.uint8


@pytest.mark.parametrize(
    "sample", [{"other": noise(2, 4)}, (noise(2, 4), noise(2, 4)), np.array([["a"]])]
)
def test_samples_that_do_not_fit(sample: Any) -> None:
    with pytest.raises(SampleError):
        Inputs.of(dense(), sample)


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.one = layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.one(inputs["a"]) + inputs["b"]


def test_a_subclassed_model_needs_a_sample(tmp_path: Path) -> None:
    model = Net()
    with pytest.raises(SampleError, match="does not declare its inputs"):
        onnxpack.export(model, None, tmp_path / "pack")
    sample = {"a": noise(2, 4), "b": noise(2, 3)}
    pack = onnxpack.export(model, sample, tmp_path / "pack")
    feeds = {"a": noise(5, 4, seed=1), "b": noise(5, 3, seed=2)}
    held(pack, model(feeds), **feeds)


def test_loops_over_a_length_go_by_the_jax_backend(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)])
    pack = onnxpack.export(model, None, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.strategy.endswith("on the jax backend")
    assert pack.manifest.signature.dynamic == ("batch", "length")
    held(pack, model(noise(4, 21, 3)), input=noise(4, 21, 3))


def test_a_graph_by_jax_takes_the_dtype_of_the_sample(tmp_path: Path) -> None:
    """JAX reads int64 as int32, and the user's tokens are int64."""
    model = keras.Sequential([keras.Input((None,)), layers.Embedding(9, 4), layers.GRU(3)])
    tokens = np.random.default_rng(0).integers(0, 9, (4, 13))
    pack = onnxpack.export(model, tokens[:2, :7], tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.signature.inputs[0].dtype == "int64"
    held(pack, model(tokens), input=tokens)


def test_a_state_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input(batch_shape=(2, 5, 3))
    model = keras.Model(inputs, layers.LSTM(4, stateful=True, name="memory")(inputs))
    with pytest.raises(ExportError, match="'memory'") as caught:
        onnxpack.export(model, None, tmp_path / "pack")
    assert "stateful=False" in caught.value.remedy


class TextVectorization(layers.Layer):
    """Stands for Keras' own, which wants TensorFlow even to be made."""


def test_tables_are_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), TextVectorization(name="words")])
    with pytest.raises(ExportError, match="'words'"):
        onnxpack.export(model, None, tmp_path / "pack")


class Restless(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.drop = layers.Dropout(0.5)

    def call(self, x: Any) -> Any:
        return self.drop(x, training=True)


def test_dropout_that_never_rests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NondeterministicError):
        onnxpack.export(Restless(), noise(2, 40), tmp_path / "pack")


def test_a_fixed_batch_stays_fixed(tmp_path: Path) -> None:
    inputs = keras.Input(batch_shape=(3, 4), name="x")
    pack = onnxpack.export(keras.Model(inputs, layers.Dense(2)(inputs)), None, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.signature.dynamic == ()


def test_a_model_in_float64() -> None:
    model = dense()
    wide = widened(model)
    assert wide is not None
    x = noise(2, 4)
    found = keras.ops.convert_to_numpy(wide(x.astype(np.float64)))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(model(x)), rtol=1e-5)
    with KerasExporter().open(model, x) as subject:
        exact = subject.run_float64({"input": x})
        assert exact is not None
        assert exact["output"].dtype == np.float64


JAX = """
import keras, numpy, onnxpack, sys
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="tanh")])
pack = onnxpack.export(model, None, sys.argv[1])
x = numpy.random.default_rng(5).normal(size=(7, 4)).astype("float32")
numpy.testing.assert_allclose(onnxpack.Model(pack)(x), model(x), rtol=1e-3, atol=1e-5)
source = pack.manifest.source
print(source.framework, source.strategy, pack.manifest.notes[0], sep=", ")
"""


def test_a_model_on_the_jax_backend(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", JAX, tmp_path / "pack"],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "keras, jax2onnx, run on the jax backend\n", done.stderr


def test_a_file(tmp_path: Path) -> None:
    model = dense()
    model.save(tmp_path / "net.keras")
    loaded = load_target(str(tmp_path / "net.keras"))
    assert loaded.name == "net"
    x = noise(2, 4)
    for one, other in zip(loaded.model.weights, model.weights, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
        )
    assert loaded.model(x).shape == (2, 3)


def test_a_lambda_is_not_loaded(tmp_path: Path) -> None:
    doubled = layers.Lambda(lambda x: x * 2)
    keras.Sequential([keras.Input((4,)), doubled]).save(tmp_path / "net.keras")
    with pytest.raises(TargetError) as caught:
        load_target(str(tmp_path / "net.keras"))
    assert "--trust" in caught.value.remedy
    trusted = load_target(str(tmp_path / "net.keras"), trust=True)
    assert trusted.model.layers[0].name == doubled.name


def hostile(path: Path, config: Any) -> Path:
    """An archive of Keras' whose config is another."""
    dense().save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def called(module: str, name: str, *arguments: Any) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": name,
        "config": {"args": list(arguments), "name": "x", "layers": list(arguments)},
        "registered_name": None,
    }


@pytest.mark.parametrize(
    "config",
    [
        lambda ran: called("os", "system", f"touch {ran}"),
        lambda ran: called("subprocess", "run", ["touch", ran]),
        lambda ran: called("builtins", "function", "exec"),
        lambda ran: called("evil", "Net"),
        lambda ran: called("keras", "Sequential", called("evil", "Net")),
        lambda ran: called("keras.utils", "get_file", f"file://{ran}"),
        lambda ran: {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"name": "x", "function": {"class_name": "function", "module": "os",
                                                 "config": "system", "registered_name": "system"}},
        },
    ],
)  # fmt: skip
def test_a_hostile_file_runs_nothing(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = str(tmp_path / "ran")
    (tmp_path / "evil.py").write_text(f"open({ran!r}, 'w').close()\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError):
        load_target(str(hostile(tmp_path / "net.keras", config(ran))))
    assert not Path(ran).exists()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"nothing")
    with pytest.raises(TargetError):
        load_target(str(tmp_path / "net.keras"))


class LearnedPositions(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = layers.Embedding(200, 6)

    def call(self, x: Any) -> Any:
        return x + self.embedding(keras.ops.arange(keras.ops.shape(x)[1]))


def test_positions_of_a_length_that_varies(tmp_path: Path) -> None:
    """Keras has no dtype for a symbol, and took the trace's sizes for numbers."""
    inputs = keras.Input((None,), dtype="int32")
    found = LearnedPositions()(layers.Embedding(20, 6)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(found)))
    ids = np.random.default_rng(0).integers(0, 20, (3, 7)).astype(np.int32)
    pack = onnxpack.export(model, ids, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.strategy == "torchscript trace"
    longer = np.random.default_rng(1).integers(0, 20, (2, 33)).astype(np.int32)
    wanted = keras.ops.convert_to_numpy(model(longer))
    np.testing.assert_allclose(onnxpack.Model(pack)(longer), wanted, rtol=1e-4, atol=1e-5)
    assert keras.config.is_traceback_filtering_enabled()
