"""Train a small Lightning classifier on scikit-learn's pictures of handwritten digits.

python digits.py     # trains, prints the accuracy, writes digits.ckpt and held-out.npz
"""

from __future__ import annotations

import logging
import warnings
from typing import NamedTuple

import lightning
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SEED = 0


class LitDigits(lightning.LightningModule):
    """Two convolutions and a linear layer: 8 × 8 grey pictures in, ten scores out."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.example_input_array = torch.rand(1, 1, 8, 8, generator=torch.manual_seed(SEED))
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(2 * channels * 16, len(LABELS)),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """The score of each digit, for each picture."""
        return self.layers(pictures)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of one batch."""
        pictures, digits = batch
        return nn.functional.cross_entropy(self(pictures), digits)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=2e-3)


class Digits(NamedTuple):
    """Pictures as float32[n, 1, 8, 8] of 0…1, and the digit that each one shows."""

    pictures: np.ndarray
    digits: np.ndarray


def load() -> tuple[Digits, Digits]:
    """The pictures to train with, and those that are held out."""
    data = load_digits()
    pictures = (data.images[:, None] / 16).astype(np.float32)
    parts = train_test_split(
        pictures, data.target, test_size=0.25, random_state=SEED, stratify=data.target
    )
    return Digits(parts[0], parts[2]), Digits(parts[1], parts[3])


def train(data: Digits, *, epochs: int = 15) -> tuple[LitDigits, lightning.Trainer]:
    """A trained model, and the trainer that can save it."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(SEED, verbose=False)
    tensors = TensorDataset(torch.from_numpy(data.pictures), torch.from_numpy(data.digits))
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    model = LitDigits()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model only loses by more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loader workers are not worth it for 1,347 pictures
        trainer.fit(model, DataLoader(tensors, batch_size=64, shuffle=True))
    torch.set_num_threads(threads)
    return model.eval(), trainer


def main() -> None:
    """Train, tell the accuracy, save."""
    training, held_out = load()
    model, trainer = train(training)
    with torch.no_grad():
        answers = model(torch.from_numpy(held_out.pictures)).argmax(1).numpy()
    right = (answers == held_out.digits).mean()
    print(f"accuracy on {len(answers)} held-out pictures: {right:.1%}")
    trainer.save_checkpoint("digits.ckpt", weights_only=True)
    np.savez("held-out.npz", pictures=held_out.pictures)


if __name__ == "__main__":
    main()
