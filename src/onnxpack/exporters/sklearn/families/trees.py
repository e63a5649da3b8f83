"""Decision trees and what is grown of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import (
    Answer,
    Family,
    Table,
    ask,
    label_if,
    labels_at,
    private,
    two_columns,
)
from onnxpack.exporters.sklearn.families.meta import matrix_of
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.exporters.trees.columns import IN_SET, Columns
from onnxpack.exporters.trees.ensemble import Ensemble, Tree
from onnxpack.exporters.trees.write import add_ensemble
from onnxpack.signature import Array


def sum_of_leaves(x: Tensor, ensemble: Ensemble, columns: Columns | None = None) -> Tensor:
    """The sum of the leaves that each row reaches, float64 [batch, targets].

    Args:
        x: float64.
    """
    writer = x.graph.writer
    matrix = columns.write(writer, x.name) if columns else x.name
    return Tensor(x.graph, add_ensemble(writer, matrix, ensemble), "float64")


def grown(tree: Any, value: Array, target: int = 0) -> Tree:
    """A tree of scikit-learn's, with what its nodes are worth."""
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    return Tree(
        tree.feature,
        tree.threshold,
        tree.children_left,
        tree.children_right,
        np.asarray(missing, bool),
        value,
        target,
    )


def rounded(x: Tensor) -> Tensor:
    """The rows as trees see them: in float32, compared in float64."""
    return x.cast("float32").cast("float64")


class Forest(Family):
    """One tree, or the mean of several."""

    def ensemble(self, model: Any) -> Ensemble:
        """Its trees."""
        trees = [each.tree_ for each in getattr(model, "estimators_", [model])]
        values = [tree.value.reshape(tree.node_count, -1) for tree in trees]
        grown_ = tuple(grown(tree, value) for tree, value in zip(trees, values, strict=True))
        return Ensemble(grown_, targets=values[0].shape[1])

    def mean(self, model: Any, x: Tensor) -> Tensor:
        """[batch, outputs × classes]."""
        trees = self.ensemble(model)
        return sum_of_leaves(rounded(x), trees) / float(len(trees.trees))

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The mean; of several outputs one column each."""
        found = self.mean(model, x)
        return n.flat(found) if model.n_outputs_ == 1 else found


class ForestClassifier(Forest):
    """Of the shares of the classes in the leaves."""

    def mean(self, model: Any, x: Tensor) -> Tensor:
        """[batch, outputs × classes]; of two classes only the second's share is summed.

        A sum of one number is a single operator, and takes half the time of two.
        """
        trees = self.ensemble(model)
        if trees.targets != 2 or model.n_outputs_ != 1 or not _are_shares(trees):
            return super().mean(model, x)
        second = tuple(replace(tree, value=tree.value[:, 1:]) for tree in trees.trees)
        total = sum_of_leaves(rounded(x), Ensemble(second, targets=1))
        return two_columns(n.flat(total / float(len(second))))

    def predict_proba(self, model: Any, x: Tensor) -> Answer:
        """One a class; of several outputs one array each."""
        found = self.mean(model, x)
        if model.n_outputs_ == 1:
            return found
        counts = [int(count) for count in model.n_classes_]
        widest = max(counts)
        return [
            n.gather(found, np.arange(count) + k * widest, axis=1) for k, count in enumerate(counts)
        ]

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class; of several outputs one column each."""
        shares = self.predict_proba(model, x)
        if not isinstance(shares, list):
            return labels_at(model, n.argmax(shares))
        labels = [
            n.take(x.graph, classes, n.argmax(share))
            for classes, share in zip(model.classes_, shares, strict=True)
        ]
        return n.concat([n.as_column(label) for label in labels])


def _are_shares(ensemble: Ensemble) -> bool:
    """Whether the values of each leaf sum to one."""
    return all(
        np.allclose(tree.value[tree.leaves].sum(axis=1), 1, rtol=0, atol=1e-12)
        for tree in ensemble.trees
    )


class Embedding(Forest):
    """Which leaf of each tree a row reaches."""

    def ensemble(self, model: Any) -> Ensemble:
        """A target for each leaf that is a category of the encoder."""
        trees, target = [], 0
        for each, leaves in zip(model.estimators_, model.one_hot_encoder_.categories_, strict=True):
            value = np.zeros((each.tree_.node_count, len(leaves)))
            value[np.asarray(leaves, int), np.arange(len(leaves))] = 1
            trees.append(grown(each.tree_, value, target))
            target += len(leaves)
        return Ensemble(tuple(trees), targets=target)

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """One column a leaf."""
        return sum_of_leaves(rounded(x), self.ensemble(model))


class Isolation(Family):
    """How soon random trees isolate a row."""

    def ensemble(self, model: Any) -> Ensemble:
        """Trees whose leaves are worth the length of the way to them."""
        lengths = private(model, "_decision_path_lengths")
        averages = private(model, "_average_path_length_per_tree")
        trees = []
        for i, (each, features) in enumerate(
            zip(model.estimators_, model.estimators_features_, strict=True)
        ):
            tree = each.tree_
            value = np.asarray(lengths[i] + averages[i] - 1.0, np.float64)
            plain = grown(tree, value[:, None])
            feature = np.asarray(features)[np.maximum(tree.feature, 0)]
            trees.append(
                Tree(
                    feature,
                    plain.threshold,
                    plain.left,
                    plain.right,
                    plain.missing_left,
                    plain.value,
                )
            )
        return Ensemble(tuple(trees), targets=1)

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Negative for outliers."""
        depths = n.flat(sum_of_leaves(rounded(x), self.ensemble(model)))
        size = float(_average_path_length(private(model, "_max_samples")))
        denominator = len(model.estimators_) * size
        if denominator == 0:
            raise ExportError("it was fitted with one row a tree")
        scores = n.exp(depths * (-np.log(2.0) / denominator))
        return -scores - float(model.offset_)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """1 for inliers, -1 for outliers."""
        return n.where(self.decision_function(model, x) < 0.0, -1, 1)


def _average_path_length(count: int) -> float:
    """Of an unsuccessful search in a binary tree of so many rows."""
    if count <= 1:
        return 0.0
    if count == 2:
        return 1.0
    return float(2.0 * (np.log(count - 1.0) + np.euler_gamma) - 2.0 * (count - 1.0) / count)


class Boosted(Family):
    """Gradient boosting: a sum of trees, and a link."""

    columnwise = True

    def raw(self, model: Any, x: Table) -> Tensor:
        """The sum, [batch, trees an iteration]."""
        matrix = matrix_of(x)
        return sum_of_leaves(rounded(matrix), self.ensemble(model)) + _start(model, matrix)

    def ensemble(self, model: Any) -> Ensemble:
        """Its trees."""
        stages = np.asarray(model.estimators_)
        trees = [
            grown(each.tree_, each.tree_.value[:, 0, :1] * model.learning_rate, k)
            for stage in stages
            for k, each in enumerate(stage)
        ]
        return Ensemble(tuple(trees), targets=stages.shape[1])

    def predict(self, model: Any, x: Table) -> Tensor:
        """The mean, or the class."""
        raw = self.raw(model, x)
        if not hasattr(model, "classes_"):
            return _link(model, n.flat(raw))
        if len(model.classes_) == 2:
            return label_if(model, self.positive(n.flat(raw)))
        return labels_at(model, n.argmax(raw))

    def positive(self, raw: Tensor) -> Tensor:
        """Whether a sum is of the second class."""
        return raw >= 0.0

    def decision_function(self, model: Any, x: Table) -> Tensor:
        """The sum."""
        raw = self.raw(model, x)
        return n.flat(raw) if len(model.classes_) == 2 else raw

    def predict_proba(self, model: Any, x: Table) -> Tensor:
        """One a class."""
        raw = self.raw(model, x)
        if len(model.classes_) > 2:
            return n.softmax(raw)
        loss = type(private(model, "_loss")).__name__
        factor = 2.0 if loss == "ExponentialLoss" else 1.0
        return two_columns(n.expit(n.flat(raw) * factor))


def _link(model: Any, raw: Tensor) -> Tensor:
    name = type(private(model, "_loss").link).__name__
    return {"IdentityLink": lambda v: v, "LogLink": n.exp}[name](raw)


def _start(model: Any, x: Tensor) -> Any:
    """What the sum begins with."""
    if isinstance(model.init_, str):
        return 0.0
    if type(model.init_).__name__.startswith("Dummy"):
        rows = np.zeros((1, model.n_features_in_), np.float32)
        return private(model, "_raw_predict_init")(rows)
    if not hasattr(model, "classes_"):
        return n.as_column(ask(model.init_, "predict", x.cast("float32")))
    least = float(np.finfo(np.float64).eps)
    shares = ask(model.init_, "predict_proba", x.cast("float32")).cast("float64")
    shares = n.clip(shares, least, 1 - least)
    if len(model.classes_) > 2:
        logarithm = n.log(shares)
        return logarithm - n.mean(logarithm, keepdims=True)
    second = n.column(shares, 1)
    half = type(private(model, "_loss").link).__name__ == "HalfLogitLink"
    return n.log(second / (1.0 - second)) * (0.5 if half else 1.0)


class Histogram(Boosted):
    """Gradient boosting over histograms, in float64, with categories."""

    def ensemble(self, model: Any) -> Ensemble:
        """Its trees."""
        return self._planted(model, Columns(model.n_features_in_))

    def raw(self, model: Any, x: Table) -> Tensor:
        """The sum, [batch, trees an iteration]."""
        before = private(model, "_preprocessor")
        matrix = matrix_of(x) if before is None else ask(before, "transform", x)
        columns = Columns(model.n_features_in_)
        ensemble = self._planted(model, columns)
        found = sum_of_leaves(matrix.cast("float64"), ensemble, columns)
        return found + np.asarray(private(model, "_baseline_prediction")).reshape(1, -1)

    def positive(self, raw: Tensor) -> Tensor:
        """Whether a sum is of the second class."""
        return raw > 0.0

    def _planted(self, model: Any, columns: Columns) -> Ensemble:
        stages = private(model, "_predictors")
        trees = [_histogram_tree(p, k, columns) for stage in stages for k, p in enumerate(stage)]
        return Ensemble(tuple(trees), targets=len(stages[0]))


def _histogram_tree(predictor: Any, target: int, columns: Columns) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    feature = nodes["feature_idx"].astype(np.int64)
    limit = nodes["num_threshold"].astype(np.float64)
    for at in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf):
        bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][at]]
        missing = bool(nodes["missing_go_to_left"][at])
        feature[at] = columns.subset(int(feature[at]), _members(bits), other=False, missing=missing)
        limit[at] = IN_SET
    return Tree(
        feature,
        np.where(leaf, 0.0, limit),
        np.where(leaf, -1, nodes["left"].astype(np.int64)),
        np.where(leaf, -1, nodes["right"].astype(np.int64)),
        nodes["missing_go_to_left"].astype(bool),
        nodes["value"].astype(np.float64)[:, None],
        target,
    )


def _members(bits: Array) -> list[int]:
    """The numbers whose bit is set."""
    words = [int(word) for word in bits]
    return [i for i in range(32 * len(words)) if words[i // 32] >> (i % 32) & 1]


TREE_CLASSIFIER, TREE = ForestClassifier(), Forest()
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        (
            "DecisionTreeClassifier", "ExtraTreeClassifier", "ExtraTreesClassifier",
            "RandomForestClassifier",
        ),
        TREE_CLASSIFIER,
    ),
    **dict.fromkeys(
        (
            "DecisionTreeRegressor", "ExtraTreeRegressor", "ExtraTreesRegressor",
            "RandomForestRegressor",
        ),
        TREE,
    ),
    "GradientBoostingClassifier": Boosted(),
    "GradientBoostingRegressor": Boosted(),
    "HistGradientBoostingClassifier": Histogram(),
    "HistGradientBoostingRegressor": Histogram(),
    "IsolationForest": Isolation(),
    "RandomTreesEmbedding": Embedding(),
}  # fmt: skip
