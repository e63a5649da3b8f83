"""Read the trees of a CatBoost model from its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from catboost import CatBoostError

from onnxpack.errors import ExportError
from onnxpack.exporters.trees.columns import IN_SET, Columns
from onnxpack.exporters.trees.ensemble import LEAF, Ensemble, Tree
from onnxpack.signature import Array

MISSING_IS_LARGEST = "AsTrue"
"""Value of ``nan_value_treatment`` for which NaN passes every ``x > border``; else it passes
none."""

Codes = Mapping[int, Mapping[int, int]]
"""Category numbers by hash, for each categorical feature by its column."""


class Test(NamedTuple):
    """The test of a node; if it is true, the row goes left."""

    column: int
    threshold: float
    missing_left: bool


@dataclass(frozen=True)
class Description:
    """The JSON description of a CatBoost model.

    Attributes:
        stated: the parsed JSON.
    """

    stated: Mapping[str, Any]

    @classmethod
    def of(cls, model: Any) -> Description:
        """Return the description of a model.

        Raises:
            ExportError: the model has a test that no graph can compute.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, "model.json")
            try:
                model.save_model(str(path), format="json")
            except CatBoostError as exc:
                raise _refusal(str(exc)) from exc
            described = cls(json.loads(path.read_text()))
        described._check()
        return described

    @property
    def bias(self) -> Array:
        """The number that is added to the scaled sum of each target."""
        return np.array(self.stated["scale_and_bias"][1], np.float64)

    @property
    def scale(self) -> float:
        """The factor of the sums of all targets."""
        return float(self.stated["scale_and_bias"][0])

    @property
    def targets(self) -> int:
        """The number of sums for a row, one for each target."""
        return len(self.bias)

    @property
    def present(self) -> Sequence[int]:
        """The index of each sum's class among all classes, if there are classes."""
        parameters = self.stated["model_info"].get("class_params", {})
        return [int(at) for at in parameters.get("class_to_label", range(self.targets))]

    @property
    def features(self) -> int:
        """The number of features of all kinds."""
        info = self.stated["features_info"]
        kinds = ("float_features", "categorical_features")
        flat = [feature["flat_feature_index"] for kind in kinds for feature in info.get(kind, [])]
        return 1 + max(flat, default=-1)

    @cached_property
    def categorical(self) -> Mapping[int, Sequence[int]]:
        """The columns of categorical features, each with the hashes that are tested."""
        stated = self.stated["features_info"].get("categorical_features", [])
        return {f["flat_feature_index"]: f.get("values", []) for f in stated}

    def ensemble(self, columns: Columns, codes: Codes) -> Ensemble:
        """Return the trees of the model."""
        if "oblivious_trees" in self.stated:
            trees = [
                self._oblivious(tree, columns, codes) for tree in self.stated["oblivious_trees"]
            ]
        else:
            trees = [self._grown(tree, columns, codes) for tree in self.stated["trees"]]
        return Ensemble(tuple(trees), self.targets)

    def _oblivious(self, tree: Mapping[str, Any], columns: Columns, codes: Codes) -> Tree:
        """Return a tree with one test a level; the first test decides the leaf's lowest bit."""
        tests = [self._test(split, columns, codes) for split in tree.get("splits") or []][::-1]
        depth = len(tests)
        inner = 2**depth - 1
        level = np.floor(np.log2(np.arange(1, inner + 1))).astype(int)
        node = np.arange(inner)
        pad = np.zeros(inner + 1)
        value = np.zeros((2 * inner + 1, self.targets))
        value[inner:] = np.reshape(tree["leaf_values"], (-1, self.targets))
        ends = np.full(inner + 1, LEAF)
        asked = np.array(tests, np.float64).reshape(depth, 3)[level]
        return Tree(
            np.concatenate((asked[:, 0], pad)),
            np.concatenate((asked[:, 1], pad)),
            np.concatenate((2 * node + 1, ends)),
            np.concatenate((2 * node + 2, ends)),
            np.concatenate((asked[:, 2], pad)),
            value,
        )

    def _grown(self, tree: Mapping[str, Any], columns: Columns, codes: Codes) -> Tree:
        """Return a tree of any shape, read from nested objects."""
        rows: list[list[Any]] = []
        values: list[Any] = []
        waiting: list[tuple[Mapping[str, Any], int, int]] = [(tree, -1, 0)]
        while waiting:
            node, above, side = waiting.pop()
            here = len(rows)
            if above >= 0:
                rows[above][side] = here
            if "split" not in node:
                rows.append([0, 0, LEAF, LEAF, 0])
                values.append(np.broadcast_to(node["value"], self.targets))
                continue
            test = self._test(node["split"], columns, codes)
            rows.append([test.column, test.threshold, LEAF, LEAF, test.missing_left])
            values.append(np.zeros(self.targets))
            waiting += [(node["left"], here, 2), (node["right"], here, 3)]
        feature, threshold, left, right, missing_left = zip(*rows, strict=True)
        return Tree(feature, threshold, left, right, missing_left, np.array(values))

    def _test(self, split: Mapping[str, Any], columns: Columns, codes: Codes) -> Test:
        """Return a split as a test for going left; CatBoost states when a row goes right."""
        if split["split_type"] == "FloatFeature":
            feature = self.stated["features_info"]["float_features"][split["float_feature_index"]]
            right = feature["nan_value_treatment"] == MISSING_IS_LARGEST
            border = float(np.float32(split["border"]))
            return Test(int(feature["flat_feature_index"]), border, not right)
        stated = self.stated["features_info"]["categorical_features"]
        column = int(stated[split["cat_feature_index"]]["flat_feature_index"])
        code = codes[column][split["value"]]
        return Test(
            columns.subset(column, [code], other=True, missing=True), IN_SET, missing_left=False
        )

    def _check(self) -> None:
        if any(split["split_type"] == "OnlineCtr" for split in self._splits()):
            raise ExportError(
                "the model tests statistics of categories (CTR), which are looked up by a hash "
                "that no ONNX operator computes.",
                remedy="train with one_hot_max_size=255, so that categories are tested one by one",
            )

    def _splits(self) -> Iterator[Mapping[str, Any]]:
        for tree in self.stated.get("oblivious_trees", []):
            yield from tree.get("splits") or []
        waiting = list(self.stated.get("trees", []))
        while waiting:
            node = waiting.pop()
            if "split" in node:
                yield node["split"]
                waiting += [node["left"], node["right"]]


def _refusal(said: str) -> ExportError:
    """Return the error for a model of texts or embeddings, which CatBoost has no JSON for."""
    line = said.strip().splitlines()[-1].rpartition(": ")[2]
    return ExportError(
        f"CatBoost cannot save this model as JSON: {line}.",
        remedy="convert texts and embeddings to numbers before training, and train on those",
    )
