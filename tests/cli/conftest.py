"""Small packs, and the command line that is run on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxpack.cli.main import main
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.oci.image import make_image
from onnxpack.oci.index import make_index
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.store.layout import write_layout
from onnxpack.pack.manifest import CaseEvidence, Manifest, Parity, SkippedCase, Source
from onnxpack.pack.model import Pack
from onnxpack.pack.write import GoldenData, write_pack
from onnxpack.signature import Signature, TensorSpec

PROGRAM = Path(sys.executable).with_name("onnxpack")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
WEIGHT = np.array([[1, 0, -1], [2, 1, 0]], np.float32)
TABLE = np.arange(20, dtype=np.float32).reshape(10, 2)


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


@pytest.fixture
def onnxpack(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run a command in this process, through the boundary."""

    def run(*argv: object) -> Told:
        capsys.readouterr()
        code = main([str(arg) for arg in argv])
        captured = capsys.readouterr()
        return Told(code, captured.out, captured.err)

    return run


@pytest.fixture
def shell() -> Callable[..., Told]:
    """Run the console script as a shell would."""

    def run(*argv: object, **environment: str) -> Told:
        done = subprocess.run(
            [PROGRAM, *map(str, argv)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
        return Told(done.returncode, done.stdout, done.stderr)

    return run


def save_graph(node: onnx.NodeProto, given: Any, made: Any, weights: Any, path: Path) -> Path:
    graph = helper.make_graph(
        [node], "g", [given], [made], [numpy_helper.from_array(v, k) for k, v in weights.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A bare graph: ``scores = x @ weight``."""
    value = helper.make_tensor_value_info
    return save_graph(
        helper.make_node("MatMul", ["x", "weight"], ["scores"], name="dense"),
        value("x", onnx.TensorProto.FLOAT, ["batch", 2]),
        value("scores", onnx.TensorProto.FLOAT, ["batch", 3]),
        {"weight": WEIGHT},
        tmp_path / "bare.onnx",
    )


@pytest.fixture
def pack(graph: Path, tmp_path: Path) -> Pack:
    """A classifier of three classes with one golden set."""
    x = np.array([[1, 2], [3, -4]], np.float32)
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 2)),),
        (TensorSpec("scores", "float32", ("batch", 3)),),
    )
    golden = GoldenData({"x": x}, {"scores": x @ WEIGHT})
    manifest = make_manifest("pets", signature, {"batch": 2}, labels=("cat", "dog", "newt"))
    return write_pack(tmp_path / "pets", manifest, model=graph, golden=[golden])


@pytest.fixture
def lookup(tmp_path: Path) -> Pack:
    """A table of ten rows: an index beyond it is an error. Its golden data stays below 4."""
    value = helper.make_tensor_value_info
    path = save_graph(
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        value("ids", onnx.TensorProto.INT64, ["batch", "tokens"]),
        value("rows", onnx.TensorProto.FLOAT, ["batch", "tokens", 2]),
        {"table": TABLE},
        tmp_path / "lookup.onnx",
    )
    ids = np.array([[1, 3, 2], [2, 2, 1]], np.int64)
    signature = Signature(
        (TensorSpec("ids", "int64", ("batch", "tokens")),),
        (TensorSpec("rows", "float32", ("batch", "tokens", 2)),),
    )
    manifest = make_manifest("lookup", signature, {"batch": 2, "tokens": 3})
    golden = GoldenData({"ids": ids}, {"rows": TABLE[ids]})
    return write_pack(tmp_path / "lookup", manifest, model=path, golden=[golden])


def make_manifest(
    name: str, signature: Signature, dims: dict[str, int], labels: tuple[str, ...] | None = None
) -> Manifest:
    output = signature.outputs[0].name
    case = CaseEvidence(
        name="sample",
        dims=dims,
        golden="test_data_set_0",
        outputs=(OutputEvidence(output, 1e-7, 1e-6, 1.0, True, error=1e-7, allowed=2e-5),),
    )
    return Manifest(
        name=name,
        version="1",
        signature=signature,
        source=Source(
            framework="torch",
            framework_version="2.9",
            model_class="zoo.Net",
            strategy="dynamo",
            opset=18,
            ir_version=10,
        ),
        parity=Parity(
            tolerance=Tolerance(),
            cases=(case,),
            skipped=(SkippedCase("batch=3", "the model takes no third"),),
        ),
        labels=labels,
        files={},
    )


@pytest.fixture
def caches(
    cache_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A cache of our own, uv's as it is, and nobody's passwords."""
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(HOME / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path_factory.mktemp("docker")))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base for both platforms that is made in no time: whether it runs is not asked here."""
    folder = tmp_path_factory.mktemp("base")
    layer = write_layer([Entry(f"usr/bin/{PYTHON}", b"", 0o755)], folder / "layer")
    images = [make_image([layer], platform=Platform(each)) for each in ("amd64", "arm64")]
    write_layout(make_index(images), folder / "layout")
    return f"oci:{folder / 'layout'}"


@pytest.fixture
def image(onnxpack: Callable[..., Told], pack: Pack, base: str) -> Callable[..., Told]:
    """The command on a pack and that base."""

    def run(*argv: object) -> Told:
        return onnxpack("image", pack.path, "--base", base, "--platform", "linux/amd64", *argv)

    return run
