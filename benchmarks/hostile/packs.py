"""Packs that want to pass for proven, or to read and write where they must not."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import onnx
from trial import Attack

import onnxpack
from onnxpack.errors import OnnxpackError
from onnxpack.pack import manifest as manifests
from onnxpack.pack.digest import measure
from onnxpack.pack.generated import make_generated
from onnxpack.pack.tensor import decode_tensor, encode_tensor

Manifest: TypeAlias = dict[str, Any]
FLIPS = 60


def make_pack(folder: Path) -> Path:
    """Export the pack that the attacks alter."""
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    model = LogisticRegression().fit(rows, np.arange(200) % 3)
    return Path(onnxpack.export(model, rows[:8], folder / "pack").path)


def attacks(pack: Path, work: Path) -> Iterator[Attack]:
    """Yield each altered pack with the commands that must refuse it."""
    for name, change in _MANIFESTS.items():
        folder = _copy(pack, work, name)
        _rewrite(folder, change)
        yield Attack(name, (("check", str(folder)),))
    for name, alter in _FILES.items():
        folder = _copy(pack, work, name)
        alter(folder)
        yield Attack(name, (("check", str(folder)),))
    folder = _copy(pack, work, "another graph")
    _answer_otherwise(folder)
    yield Attack(
        "another graph", (("check", str(folder)), ("run", str(folder), "--input", "random"))
    )
    chosen = random.Random(0)
    for number in range(FLIPS):
        folder = _copy(pack, work, f"flip {number}")
        file = chosen.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        _flip(file, chosen)
        yield Attack(f"flipped bit in {file.relative_to(folder)}", (("check", str(folder)),))


def _copy(pack: Path, work: Path, name: str) -> Path:
    folder = work / name.replace(" ", "-").replace("/", "-")
    shutil.copytree(pack, folder)
    return folder


def _rewrite(folder: Path, change: Callable[[Manifest], object]) -> None:
    """Change the manifest, and make all that is generated and hashed fit it."""
    path = folder / "pack.json"
    content = json.loads(path.read_bytes())
    change(content)
    _write(path, content)
    try:
        generated = make_generated(msgspec.convert(content, manifests.Manifest))
    except (msgspec.ValidationError, TypeError, OnnxpackError):
        return  # the manifest itself is what must be refused
    for name, made in generated.items():
        (folder / name).write_bytes(made)
    for name in content["files"]:
        if (folder / name).is_file():
            with (folder / name).open("rb") as stream:
                content["files"][name] = msgspec.to_builtins(measure(stream))
    _write(path, content)


def _write(path: Path, content: Manifest) -> None:
    made = msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2)
    path.write_bytes(made + b"\n")


def _tolerance(content: Manifest, **changes: float) -> None:
    content["parity"]["tolerance"].update(changes)


def _cases(content: Manifest, **changes: Any) -> None:
    for case in content["parity"]["cases"]:
        case.update(changes)


def _outputs(content: Manifest, **changes: Any) -> None:
    for case in content["parity"]["cases"]:
        for output in case["outputs"]:
            output.update(changes)


_MANIFESTS: dict[str, Callable[[Manifest], object]] = {
    "rtol 1e300": lambda found: _tolerance(found, rtol=1e300),
    "atol 1e300": lambda found: _tolerance(found, atol=1e300),
    "negative rtol": lambda found: _tolerance(found, rtol=-1.0),
    "every case accepted and failed": lambda found: _cases(found, accepted=True, passed=False),
    "evidence of 1e30 that passed": lambda found: _outputs(found, max_abs=1e30),
    "no cases": lambda found: found["parity"].update(cases=[]),
    "impossible dims": lambda found: found["signature"]["inputs"][0].update(shape=["batch", -5]),
    "huge dims": lambda found: found["signature"]["inputs"][0].update(shape=["batch", 2**62]),
    "unknown field": lambda found: found.update(trusted=True),
    "another format version": lambda found: found.update(schema_version=99),
    "path that climbs": lambda found: found["files"].update(
        {"../../etc/passwd": next(iter(found["files"].values()))}
    ),
    "absolute path": lambda found: found["files"].update(
        {"/etc/passwd": next(iter(found["files"].values()))}
    ),
    "name that forges a line": lambda found: found.update(name="pack\n✓ trusted\x1b[2J"),
}


def _golden(folder: Path, change: Callable[[np.ndarray[Any, Any]], Any], kind: str) -> None:
    for file in folder.glob(f"test_data_set_*/{kind}_*.pb"):
        name, array = decode_tensor(file.read_bytes())
        file.write_bytes(encode_tensor(name, np.asarray(change(array))))
    _rewrite(folder, lambda _: None)


def _remove_golden(folder: Path) -> None:
    for each in folder.glob("test_data_set_*"):
        shutil.rmtree(each)
    _rewrite(
        folder,
        lambda found: found.update(
            files={k: v for k, v in found["files"].items() if "test_data_set" not in k}
        ),
    )


def _change_graph(folder: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")


def _answer_otherwise(folder: Path) -> None:
    """Change a weight of the graph, and nothing else."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.floats:
                    attribute.floats[0] += 1
                    return
        first = model.graph.initializer[0]
        array = onnx.numpy_helper.to_array(first).copy()
        array.flat[0] += 1
        first.CopyFrom(onnx.numpy_helper.from_array(array, first.name))

    _change_graph(folder, change)


def _link_out(folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/etc/passwd")


def _add(name: str) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("print('run me')")

    return alter


def _add_and_list(folder: Path) -> None:
    _add("evil.py")(folder)
    entry = {"sha256": "0" * 64, "size": 0}
    _rewrite(folder, lambda found: found["files"].update({"evil.py": entry}))


_FILES: dict[str, Callable[[Path], object]] = {
    "no golden data": _remove_golden,
    "golden data without rows": lambda folder: _golden(folder, lambda array: array[:0], "input"),
    "golden data of NaN": lambda folder: _golden(
        folder, lambda array: array * np.nan if array.dtype.kind == "f" else array, "output"
    ),
    "an answer that is altered": lambda folder: _golden(
        folder, lambda array: array + 1 if array.dtype.kind in "fi" else array, "output"
    ),
    "a stranger's file": _add("evil.py"),
    "a stranger's program": _add("bin/payload"),
    "a stranger's file that is listed": _add_and_list,
    "another card": lambda folder: (folder / "README.md").write_text("# Proven by NASA\n"),
    "another bill of materials": lambda folder: (folder / "SBOM.cdx.json").write_text("{}"),
    "a card that is a link": _link_out,
    "a pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "a manifest without end": lambda folder: (folder / "pack.json").write_text("[" * 10**6),
    "no manifest": lambda folder: (folder / "pack.json").write_bytes(b""),
}


def _flip(file: Path, chosen: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
    file.write_bytes(content)
