"""Files of boosters that end the process which reads them."""

import json
import random
import re
from contextlib import suppress

import numpy as np
import pytest

from onnxpack.errors import TargetError
from onnxpack.exporters.target import child
from onnxpack.exporters.target.child import try_in_child
from onnxpack.exporters.target.load import load_target

X = np.random.default_rng(0).normal(size=(200, 5))
Y = X[:, 0] + X[:, 1] * X[:, 2]


def xgboost_file(folder):
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1).fit(X, Y)
    model.save_model(folder / "model.json")
    return folder / "model.json"


def lightgbm_file(folder):
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1).fit(X, Y)
    model.booster_.save_model(folder / "model.txt")
    return folder / "model.txt"


def catboost_file(folder):
    import catboost

    model = catboost.CatBoostRegressor(
        iterations=5, depth=3, verbose=False, allow_writing_files=False, thread_count=1
    ).fit(X, Y)
    model.save_model(str(folder / "model.cbm"))
    return folder / "model.cbm"


MAKERS = [xgboost_file, lightgbm_file, catboost_file]


@pytest.mark.parametrize("make", MAKERS)
def test_a_whole_file_is_loaded(make, tmp_path):
    assert load_target(str(make(tmp_path))).name == "model"


def test_a_child_out_of_range_is_a_damaged_file(tmp_path):
    """XGBoost walks to a node that is not there."""
    path = xgboost_file(tmp_path)
    content = json.loads(path.read_text())
    for tree in content["learner"]["gradient_booster"]["model"]["trees"]:
        tree["left_children"] = [10**9 if each >= 0 else each for each in tree["left_children"]]
    path.write_text(json.dumps(content))
    with pytest.raises(TargetError, match=r"SIGSEGV|SIGABRT|is not an XGBoost model"):
        load_target(str(path))


def test_a_loop_of_nodes_does_not_run_forever(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "SECONDS", 10)
    path = lightgbm_file(tmp_path)
    path.write_text(re.sub(r"left_child=.*", _to_the_root, path.read_text()))
    with pytest.raises(
        TargetError, match=r"still being read after 10 s|is not a LightGBM|with SIG"
    ):
        load_target(str(path))


def _to_the_root(found):
    return "left_child=" + " ".join("0" for _ in found[0].split("=")[1].split())


@pytest.mark.parametrize("make", MAKERS)
def test_flipped_bytes_never_end_this_process(make, tmp_path, monkeypatch):
    """It would be the tests' own."""
    monkeypatch.setattr(child, "SECONDS", 20)
    path = make(tmp_path)
    whole, draws = path.read_bytes(), random.Random(0)
    for _ in range(4):
        content = bytearray(whole)
        for _ in range(draws.choice((1, 10, 100))):
            content[draws.randrange(len(content))] = draws.randrange(256)
        path.write_bytes(content)
        with suppress(TargetError):
            load_target(str(path))


def test_memory_is_limited(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match="cannot be read with 8 GiB of memory: MemoryError"):
        try_in_child(tmp_path / "file", "a model", "bytearray(2**35)")


def test_a_model_can_refuse_the_rows_that_were_made_up(tmp_path):
    """Numbers where it wants categories say nothing about its file."""
    (tmp_path / "file").touch()
    try_in_child(tmp_path / "file", "a model", "ask(lambda: 1 / 0)")


def test_the_reason_of_a_library_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match="file is not a model: two lines"):
        try_in_child(tmp_path / "file", "a model", 'raise ValueError("two lines\\nof text")')
