"""Read the trees or weights of a booster from its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from xgboost.core import XGBoostError

from onnxpack.errors import ExportError
from onnxpack.exporters.trees.columns import IN_SET, Columns
from onnxpack.exporters.trees.ensemble import Ensemble, Mode, Tree
from onnxpack.signature import Array

CATEGORICAL = "c"
"""The type of a feature whose numbers are categories."""


@dataclass(frozen=True)
class Description:
    """The JSON description of a booster.

    Attributes:
        learner: the part of the JSON that describes the prediction.
        rounds: the first and the end of the boosting rounds that are used.
    """

    learner: Mapping[str, Any]
    rounds: tuple[int, int]

    @classmethod
    def of(cls, booster: Any, rounds: tuple[int, int]) -> Description:
        """Return a booster's description; rounds ``(0, 0)`` mean all rounds.

        Raises:
            ExportError: XGBoost does not save the booster, as with an objective that was set after
                training and that refuses its base score.
        """
        try:
            stated = bytes(booster.save_raw("json"))
        except XGBoostError as exc:
            raise ExportError(
                f"XGBoost does not save this booster: {said(exc)}",
                remedy="set its parameters before training: xgboost.train(params, ...)",
            ) from exc
        return cls(json.loads(stated)["learner"], rounds)

    @property
    def objective(self) -> str:
        """The name of the objective, such as ``binary:logistic``."""
        return str(self.learner["objective"]["name"])

    @property
    def features(self) -> int:
        """The number of features."""
        return int(self.learner["learner_model_param"]["num_feature"])

    @cached_property
    def targets(self) -> int:
        """The number of margins of a row."""
        parameters = self.learner["learner_model_param"]
        return max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))

    @property
    def base_score(self) -> Array:
        """The base score of each margin, in the objective's unit, such as a probability."""
        text = str(self.learner["learner_model_param"]["base_score"])
        values = np.array(json.loads(text if text.startswith("[") else f"[{text}]"), np.float32)
        used = values[:1] if self.is_linear else values  # gblinear adds the first to every class
        return np.broadcast_to(used, self.targets)

    @property
    def is_linear(self) -> bool:
        """Whether the booster has weights instead of trees."""
        return str(self.learner["gradient_booster"]["name"]) == "gblinear"

    @property
    def weights(self) -> Array:
        """The weights of a linear booster, [features + 1, targets]; the last row is the bias."""
        weights = np.array(self.learner["gradient_booster"]["model"]["weights"])
        return weights.reshape(self.features + 1, self.targets)

    @property
    def types(self) -> Sequence[str]:
        """The type of each feature, if the booster knows any."""
        return list(self.learner["feature_types"])

    @property
    def names(self) -> Sequence[str]:
        """The names of the features, if the booster knows any."""
        return list(self.learner["feature_names"])

    def categorical(self) -> Array:
        """Return a mask of the features whose numbers are categories."""
        mask = np.zeros(self.features, bool)
        for tree in self._trees():
            indices, types = np.array(tree["split_indices"]), np.array(tree["split_type"])
            mask[indices[types == 1]] = True
        return mask

    def ensemble(self, columns: Columns) -> Ensemble:
        """Return the trees of the rounds that are used, each multiplied by its weight."""
        booster = self.learner["gradient_booster"]
        inner = booster.get("gbtree", booster)["model"]
        weights = booster.get("weight_drop") or [1.0] * len(inner["trees"])
        trees = tuple(
            read_tree(inner["trees"][at], inner["tree_info"][at], np.float32(weights[at]), columns)
            for at in self._counted(inner)
        )
        return Ensemble(trees, self.targets, Mode.LT)

    def known_categories(self) -> dict[str, list[Any]]:
        """Return the categories of each column of the training frame, if the booster kept them."""
        booster = self.learner["gradient_booster"]
        model = booster.get("gbtree", booster)["model"]
        kept = model.get("cats", {}).get("enc", [])
        found = {n: _categories(e) for n, e in zip(self.names, kept, strict=False)}
        return {name: values for name, values in found.items() if values}

    def _trees(self) -> list[Mapping[str, Any]]:
        booster = self.learner["gradient_booster"]
        return [] if self.is_linear else list(booster.get("gbtree", booster)["model"]["trees"])

    def _counted(self, model: Mapping[str, Any]) -> range:
        """Return the numbers of the trees of the rounds that are used."""
        begin, end = self.rounds
        bounds = model.get("iteration_indptr")
        if bounds is None:
            vector = int(model["trees"][0]["tree_param"]["size_leaf_vector"]) > 1
            parallel = int(model["gbtree_model_param"]["num_parallel_tree"])
            step = max(1, parallel) * (1 if vector else self.targets)
            bounds = range(0, len(model["trees"]) + 1, step)
        return range(bounds[begin], bounds[end] if end else len(model["trees"]))


def said(exc: XGBoostError) -> str:
    """Return an XGBoost error's message, without its time, source location and stack."""
    return re.sub(r"^\[[\d:]+\] \S+: ", "", str(exc)).partition("\nStack trace")[0]


def _categories(kept: Mapping[str, Any]) -> list[Any]:
    """Return one column's categories; texts are stored as one run of UTF-8 with bounds."""
    if "offsets" not in kept:
        return list(kept["values"])
    text, bounds = bytes(value % 256 for value in kept["values"]), kept["offsets"]
    return [text[a:b].decode(errors="surrogateescape") for a, b in pairwise(bounds)]


def read_tree(tree: Mapping[str, Any], target: int, weight: Any, columns: Columns) -> Tree:
    """Return one tree of the JSON, without the nodes that pruning has cut off.

    Raises:
        ExportError: a leaf is NaN or infinite.
    """
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    kept = _reachable(left, right)
    number = np.full(len(left), -1)
    number[kept] = np.arange(len(kept))
    inner = left[kept] != -1
    feature, threshold = (
        np.array(tree["split_indices"]),
        np.array(tree["split_conditions"], np.float32),
    )
    feature, threshold = feature.astype(np.int64), threshold.astype(np.float64)
    default_left = np.array(tree["default_left"], bool)
    _read_categories(tree, feature, threshold, default_left, columns)
    value = _leaf_values(tree, left, right) * weight
    if not np.isfinite(value[kept][~inner]).all():
        raise ExportError("a leaf of the booster is NaN or infinite.")
    return Tree(
        feature[kept],
        threshold[kept],
        np.where(inner, number[left[kept]], -1),
        np.where(inner, number[right[kept]], -1),
        default_left[kept],
        value[kept],
        target if value.shape[1] == 1 else 0,
    )


def _reachable(left: Array, right: Array) -> Array:
    """Return the nodes below the root, in order."""
    found, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if left[node] != -1:
            waiting += [int(left[node]), int(right[node])]
    return np.sort(found)


def _leaf_values(tree: Mapping[str, Any], left: Array, right: Array) -> Array:
    """Return leaf values as float32 [nodes, targets of the tree]; other nodes hold anything."""
    width = max(1, int(tree["tree_param"]["size_leaf_vector"]))
    if width == 1:
        return np.array(tree["split_conditions"], np.float32)[:, None]
    if "leaf_weights" in tree:
        table = np.array(tree["leaf_weights"], np.float32).reshape(-1, width)
        return table[np.where(left == -1, right, 0)]
    return np.array(tree["base_weights"], np.float32).reshape(-1, width)


def _read_categories(
    tree: Mapping[str, Any], feature: Array, threshold: Array, missing: Array, columns: Columns
) -> None:
    """Make categorical nodes test a column of their set, whose categories go right."""
    for at, node in enumerate(tree["categories_nodes"]):
        begin = tree["categories_segments"][at]
        chosen = tree["categories"][begin : begin + tree["categories_sizes"][at]]
        feature[node] = columns.subset(
            int(feature[node]), chosen, other=True, missing=bool(missing[node])
        )
        threshold[node] = IN_SET
