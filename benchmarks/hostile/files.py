"""Model files that run code when they are read, or end the process that reads them."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from trial import Attack

FLIPS = 10
ROWS = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
TARGETS = ROWS[:, 0] + ROWS[:, 1] * ROWS[:, 2]


class Runs:
    """An object that makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def attacks(work: Path) -> Iterator[Attack]:
    """Yield the files with the export that must refuse them, and look for what ran."""
    sample = work / "sample.npy"
    np.save(sample, ROWS)
    for name, make in _CODE.items():
        marker = work / f"ran-{name.strip('.')}"
        path = work / f"code{name}"
        make(path, marker)
        yield Attack(
            f"{name} that runs code", (_export(path, sample, work),), after=_nothing_ran(marker)
        )
    for name, head in _SAFETENSORS.items():
        path = work / f"{name.replace(' ', '-')}.safetensors"
        path.write_bytes(head)
        line = (*_export(path, sample, work), "--class", "torch.nn:Linear")
        yield Attack(f"safetensors: {name}", (line,))
    chosen = random.Random(0)
    for make_booster in (_xgboost, _lightgbm, _catboost):
        whole = make_booster(work)
        content = whole.read_bytes()
        for number in range(FLIPS):
            altered = bytearray(content)
            for _ in range(1 + number):
                altered[chosen.randrange(len(altered))] = chosen.randrange(256)
            path = work / f"{number}-{whole.name}"
            path.write_bytes(altered)
            yield Attack(
                f"{whole.suffix} with {number + 1} bytes altered",
                (_export(path, sample, work),), refused=False,
            )  # fmt: skip


def _export(path: Path, sample: Path, work: Path) -> tuple[str, ...]:
    return ("export", str(path), "--sample", str(sample), "-o", str(work / f"{path.name}-pack"))


def _nothing_ran(marker: Path) -> Callable[[], str]:
    return lambda: "the file ran code" if marker.exists() else ""


def _pickle(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps(Runs(marker)))


def _joblib(path: Path, marker: Path) -> None:
    import joblib

    joblib.dump(Runs(marker), path)


def _torch(path: Path, marker: Path) -> None:
    import torch

    torch.save({"state_dict": Runs(marker), "hyper_parameters": Runs(marker)}, path)


def _torchscript(path: Path, marker: Path) -> None:
    """Write a module that makes a file of its own when its state is set."""
    import torch

    class Writes(torch.nn.Module):
        def __init__(self, to: str) -> None:
            super().__init__()
            self.to_path = to

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.from_file(self.to_path, True, 4)

    marker.with_suffix(".unused").write_bytes(b"\0" * 16)
    torch.jit.save(torch.jit.script(Writes(str(marker))), str(path))


def _skops(path: Path, marker: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(os.mkdir, kw_args={"path": str(marker)}), path)


def _keras(path: Path, marker: Path) -> None:
    """Write a model whose config names a function of the standard library."""
    config = {
        "class_name": "Functional", "module": "keras",
        "config": {
            "name": "m", "trainable": True,
            "layers": [
                {
                    "class_name": "function", "module": "builtins", "registered_name": None,
                    "config": {"module": "os", "name": "mkdir", "args": [str(marker)]},
                }
            ],
        },
    }  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("model.weights.h5", b"")


def _arrays(path: Path, marker: Path) -> None:
    found = io.BytesIO()
    np.save(found, np.array([Runs(marker)], dtype=object), allow_pickle=True)
    path.write_bytes(found.getvalue())


_CODE: dict[str, Callable[[Path, Path], None]] = {
    ".pkl": _pickle,
    ".pickle": _pickle,
    ".joblib": _joblib,
    ".pt": _torch,
    ".pth": _torchscript,
    ".ckpt": _torch,
    ".pt2": _pickle,
    ".skops": _skops,
    ".keras": _keras,
    ".bin": _torch,
    ".h5": _pickle,
    ".npy": _arrays,
}


def _header(**tensors: Any) -> bytes:
    said = json.dumps(tensors).encode()
    return struct.pack("<Q", len(said)) + said


def _tensor(shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


_SAFETENSORS = {
    "a header of 2 to the 63 bytes": struct.pack("<Q", 2**63 - 1) + b"{}",
    "a header that never ends": struct.pack("<Q", 100) + b"{" * 100,
    "a tensor behind the end": _header(weight=_tensor([5, 1], 0, 10**12)),
    "tensors that overlap": _header(weight=_tensor([2], 0, 8), bias=_tensor([2], 4, 12))
    + b"0" * 12,
    "dims that overflow": _header(weight=_tensor([2**40, 2**40], 0, 8)) + b"0" * 8,
    "no bytes": b"",
}


def _xgboost(work: Path) -> Path:
    import xgboost

    path = work / "model.json"
    xgboost.XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1).fit(ROWS, TARGETS).save_model(path)
    return path


def _lightgbm(work: Path) -> Path:
    import lightgbm

    path = work / "model.txt"
    model = lightgbm.LGBMRegressor(n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1)
    model.fit(ROWS, TARGETS).booster_.save_model(path)
    return path


def _catboost(work: Path) -> Path:
    import catboost

    path = work / "model.cbm"
    model: Any = catboost.CatBoostRegressor(  # type: ignore[no-untyped-call]
        iterations=5, depth=3, verbose=False, allow_writing_files=False, thread_count=1
    )
    model.fit(ROWS, TARGETS).save_model(str(path))
    return path
