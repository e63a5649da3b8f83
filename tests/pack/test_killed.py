"""Packs that are written while the process is killed, at any moment: the old pack, or the new."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECK = """
import sys
from msgspec.structs import replace
from pathlib import Path
import onnxpack
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.validate import validate
from tests.killing import kill_at_random

place = Path(sys.argv[1])

def whole():
    pack = onnxpack.open_pack(place)
    assert validate(pack).ok
    return pack
"""
EXPORT = """
import numpy as np
from sklearn.linear_model import LogisticRegression

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
model = LogisticRegression().fit(X, X[:, 0] > 0)

def work(number):
    onnxpack.export(model, X[:2], place, version=str(number), force=True)

def check(number):
    assert whole().manifest.version in {str(each) for each in range(number + 1)}
    onnxpack.export(model, X[:2], place, version=str(number), force=True)
    assert whole().manifest.version == str(number)
    assert [each.name for each in place.parent.iterdir()] == [place.name]

kill_at_random(work, check)
"""
REWRITE = """
def write(version):
    pack = onnxpack.open_pack(place)
    amend_pack(pack, place, replace(pack.manifest, version=version), force=True)

def work(number):
    for part in range(2):
        write(f"{number}.{part}")

def check(number):
    whole()
    write(f"{number}.checked")
    assert whole().manifest.version == f"{number}.checked"
    assert [each.name for each in place.parent.iterdir()] == [place.name]

kill_at_random(work, check)
"""


@pytest.fixture
def run(tmp_path):
    def start(code, place):
        done = subprocess.run(
            [sys.executable, "-c", CHECK + code, place],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    return start


def test_an_export_that_is_killed_at_any_moment(run, tmp_path):
    (tmp_path / "packs").mkdir()
    run(EXPORT, tmp_path / "packs" / "pack")


def test_a_rewrite_that_is_killed_at_any_moment(run, pack):
    place = pack.path.parent / "packs" / "pack"
    place.parent.mkdir()
    pack.path.rename(place)
    run(REWRITE, place)
