"""Archives that unpack to far more than they hold are refused, whoever reads them."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from onnxpack.cli.feeds import _load
from onnxpack.errors import FeedError, SampleError, TargetError
from onnxpack.exporters.target.load import load_target
from onnxpack.exporters.target.sample import read_sample
from onnxpack.zipped import check_zip

HUGE = 2**28


def bomb(path: Path, name: str = "arr.npy", count: int = 1) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for at in range(count):
            with archive.open(f"{at}{name}", "w") as member:
                for _ in range(HUGE // 2**20):
                    member.write(bytes(2**20))
    return path


@pytest.mark.parametrize("suffix", ["keras", "skops", "pt", "pth"])
def test_a_model_that_is_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, suffix: str
) -> None:
    with pytest.raises(TargetError, match="and unpacks to"):
        load_target(str(bomb(tmp_path / f"bomb.{suffix}")))


def test_arrays_that_are_a_bomb_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.npz")
    with pytest.raises(FeedError, match="and unpacks to"):
        _load(path)
    with pytest.raises(SampleError, match="and unpacks to"):
        read_sample([str(path)])


def test_members_that_overlap_are_counted_each(tmp_path: Path) -> None:
    """A directory of many entries for one member (Fifield 2019)."""
    plain = bomb(tmp_path / "bomb.zip").read_bytes()
    start = plain.index(b"PK\1\2")
    end = plain.index(b"PK\5\6")
    entry, tail, count = plain[start:end], bytearray(plain[end:]), 60
    struct.pack_into("<HHI", tail, 8, count, count, len(entry) * count)
    path = tmp_path / "many.zip"
    path.write_bytes(plain[:start] + entry * count + tail)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == count
    with pytest.raises(TargetError, match="in 60 files"):
        check_zip(path, error=TargetError)


def test_weights_are_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros(2**22, np.float32), y=np.arange(1000))
    check_zip(path, error=TargetError)
    path.write_bytes(b"no zip")
    check_zip(path, error=TargetError)
    check_zip(tmp_path / "missing", error=TargetError)


def test_an_array_that_announces_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.lib.format.write_array_header_1_0(
        target := io.BytesIO(), {"descr": "<f4", "fortran_order": False, "shape": (2**50,)}
    )
    path.write_bytes(target.getvalue())
    with pytest.raises(FeedError):
        _load(path)
    with pytest.raises(SampleError):
        read_sample([str(path)])
