"""An int8 variant on a processor without VNNI, by an emulator: there its arithmetic saturates.

Without VNNI, onnxruntime multiplies unsigned by signed bytes with ``vpmaddubsw``, which adds two
products in 16 bits. The emulated process holds numpy, onnxruntime and ``onnxpack.runtime`` only.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxpack.comparison.distance import distance, same_labels
from onnxpack.pack.manifest import Distance
from onnxpack.pack.read import open_pack
from onnxpack.pack.write import GoldenData, write_pack
from onnxpack.signature import Signature, TensorSpec

EMULATOR = shutil.which("qemu-x86_64")
TERMS = 512
FULL, REDUCED = 127, 63
"""Weights of 8 bits saturate: 2 · 255 · 127 is more than 16 bits hold. Those of 7 bits do not."""
CODE = """
import json, sys
from onnxpack.runtime.model import Model
model = Model(sys.argv[1], provider="cpu", threads=1)
print(json.dumps([model.variant, model.notes]))
"""

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="it is about instructions of x86-64"
)


@pytest.fixture
def signs() -> np.ndarray:
    """Weights of 1 and -1, in another proportion in each column."""
    shares = np.linspace(0.35, 0.8, 10)
    return np.where(np.random.default_rng(3).random((TERMS, 10)) < shares, 1, -1).astype(np.int8)


def quantized(signs: np.ndarray, largest: int) -> ModelProto:
    """``y = x @ signs``, of unsigned by signed bytes; the weights are exact in it."""
    nodes = [
        ("DynamicQuantizeLinear", ["x"], ["bytes", "step", "zero"]),
        ("MatMulInteger", ["bytes", "weights", "zero"], ["sums"]),
        ("Cast", ["sums"], ["numbers"]),
        ("Mul", ["step", "weight_step"], ["scale"]),
        ("Mul", ["numbers", "scale"], ["y"]),
    ]
    constants = {
        "weights": signs * np.int8(largest),
        "weight_step": np.array(1 / largest, np.float32),
    }
    return model(nodes, constants)


def model(nodes: list, constants: dict[str, np.ndarray]) -> ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node(*node, **({"to": TensorProto.FLOAT} if node[0] == "Cast" else {}))
            for node in nodes
        ],
        "g",
        [value("x", TensorProto.FLOAT, ["batch", TERMS])],
        [value("y", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def right(signs: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What a processor answers that does not saturate, whatever runs this test."""
    step = np.float32(x.max() / 255)
    return (np.rint(x / step).astype(np.int64) @ signs.astype(np.int64) * step).astype(np.float32)


@pytest.fixture
def pack(signs, network_pack, add_variant, tmp_path) -> Path:
    """A pack with a fast variant that saturates, and one that does not."""
    x = (np.random.default_rng(5).random((16, TERMS)) / 2 + 0.5).astype(np.float32)
    y = x @ signs.astype(np.float32)
    path = tmp_path / "signs.onnx"
    base = model([("MatMul", ["x", "weights"], ["y"])], {"weights": signs.astype(np.float32)})
    path.write_bytes(base.SerializeToString())
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", TERMS)),),
        (TensorSpec("y", "float32", ("batch", 10)),),
    )
    manifest = msgspec.structs.replace(network_pack.manifest, name="signs", signature=signature)
    golden = [GoldenData({"x": x}, {"y": y})] * 2
    made = write_pack(tmp_path / "signs", manifest, model=path, golden=golden)
    made = add_variant(made, "safe", quantized(signs, REDUCED), rows=x, ratio=2.0)
    made = add_variant(made, "fast", quantized(signs, FULL), rows=x, ratio=3.0)
    return record(made, distance(y, right(signs, x)), same_labels(y, right(signs, x)))


def record(pack, found: float, labels: int) -> Path:
    """Record the distance of a processor with VNNI, whether or not this one has it."""
    from onnxpack.pack.amend import amend_pack

    evidence = (Distance(golden="test_data_set_0", output="y", distance=found, labels=labels),)
    named = {
        name: msgspec.structs.replace(entry, evidence=evidence)
        for name, entry in pack.manifest.variants.items()
    }
    manifest = msgspec.structs.replace(pack.manifest, variants=named)
    return amend_pack(pack, pack.path, manifest, force=True).path


def choice(pack: Path, *emulator: str) -> tuple[str | None, list[str]]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [*emulator, sys.executable, "-c", CODE, pack]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=900, env=os.environ | one
    )
    assert done.returncode == 0, done.stderr
    variant, notes = json.loads(done.stdout)
    return variant, notes


def test_the_evidence_is_of_weights_that_are_exact(pack):
    for each in open_pack(pack).variants.values():
        (evidence,) = each.entry.evidence
        assert evidence.distance < 0.01
        assert evidence.labels == 16


def test_this_processor_takes_what_it_computes_right(pack):
    flags = Path("/proc/cpuinfo").read_text().split()
    has_vnni = "avx512_vnni" in flags or "avx_vnni" in flags
    variant, notes = choice(pack)
    assert variant == ("fast" if has_vnni else "safe")
    assert len(notes) == (0 if has_vnni else 1)


@pytest.mark.skipif(EMULATOR is None, reason="qemu-x86_64 is not installed (apt: qemu-user)")
def test_without_vnni_the_variant_that_saturates_is_refused(pack):
    variant, notes = choice(pack, str(EMULATOR), "-cpu", "Haswell")
    assert variant == "safe"
    (note,) = notes
    assert note.startswith("variant 'fast' is not used here: test_data_set_0/y: its distance")
