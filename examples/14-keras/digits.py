"""A small Keras network for handwritten digits, trained in seconds on real ones."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def read_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures of 8 × 8 grey values from 0 to 16, and the digit each one shows."""
    pictures, digits = load_digits(return_X_y=True)
    pictures = pictures.reshape(-1, 8, 8, 1).astype(np.float32)
    train, test, train_digits, test_digits = train_test_split(
        pictures, digits, test_size=0.25, random_state=0
    )
    return train, train_digits, test, test_digits


def make_model() -> keras.Model:
    """The network before its training; the scaling of pictures is a part of it."""
    picture = keras.Input((8, 8, 1), name="picture")
    x = layers.Rescaling(1 / 16)(picture)
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.25)(layers.Flatten()(x))
    return keras.Model(picture, layers.Dense(10, activation="softmax", name="digit")(x))


def main() -> None:
    """Train, and save as Keras does."""
    keras.utils.set_random_seed(0)
    train, digits, _, _ = read_digits()
    model = make_model()
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(train, digits, epochs=10, batch_size=64, verbose=0)
    model.save("digits.keras")


if __name__ == "__main__":
    main()
