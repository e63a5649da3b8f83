"""A small convolutional network that reads handwritten digits.

python digits.py     # trains, and writes digits.pt, labels.txt, digits.npz and truth.npy
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

WEIGHTS = "digits.pt"
LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
EPOCHS = 12


def make_net() -> nn.Module:
    """Two convolutions and two linear layers, with random weights."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 16, 1024),
        nn.ReLU(),
        nn.Linear(1024, len(LABELS)),
    )


def make_model() -> nn.Module:
    """The network with the weights in digits.pt."""
    net = make_net()
    net.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return net.eval()


def train(pictures: np.ndarray, digits: np.ndarray) -> nn.Module:
    """Train a network; this takes a few seconds."""
    torch.manual_seed(0)
    net = make_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, y = torch.from_numpy(pictures), torch.from_numpy(digits)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net.eval()


def main() -> None:
    """Train on one half of the pictures, and save the other half for onnxpack optimize."""
    data = load_digits()
    pictures = (data.images[:, None] / 16).astype(np.float32)
    seen, held_out, digits, truth = train_test_split(
        pictures, data.target, test_size=0.5, random_state=0, stratify=data.target
    )
    net = train(seen, digits)
    with torch.no_grad():
        right = net(torch.from_numpy(held_out)).argmax(1).numpy() == truth
    torch.save(net.state_dict(), WEIGHTS)
    Path("labels.txt").write_text("\n".join(LABELS) + "\n")
    np.savez("digits.npz", input=held_out)
    np.save("truth.npy", truth)
    print(f"reads {right.mean():.1%} of {len(right)} held-out pictures right")


if __name__ == "__main__":
    main()
