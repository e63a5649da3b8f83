"""Real pictures: crops of the colour photographs that scikit-image and scikit-learn install."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images

Picture = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float32]

SKIMAGE = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina",
           "rocket")  # fmt: skip
SIDE = 224
SCALES = (0.35, 1.0)
"""The side of a crop, as a share of the photograph's shorter side."""


def read_photographs() -> dict[str, Picture]:
    """Return every colour photograph that is installed, by name."""
    found = {name: getattr(data, name)() for name in SKIMAGE}
    left, right, _ = data.stereo_motorcycle()  # type: ignore[no-untyped-call]
    found |= {"motorcycle left": left, "motorcycle right": right}
    samples = load_sample_images()
    names = (name.rpartition("/")[2].removesuffix(".jpg") for name in samples.filenames)
    found |= dict(zip(names, samples.images, strict=True))
    return {name: np.asarray(picture)[..., :3] for name, picture in found.items()}


def crop(photographs: dict[str, Picture], count: int, seed: int = 0) -> Rows:
    """Return ``count`` different crops, taken from all photographs in turn.

    Each is a square at a random place, of a random size, half of them mirrored, resized to 224
    pixels a side and scaled to about -1 to 1, as the weights expect.
    """
    random = np.random.default_rng(seed)
    return np.stack(list(_crops(photographs, count, random)))


def _crops(
    photographs: dict[str, Picture], count: int, random: np.random.Generator
) -> Iterator[Rows]:
    pictures = list(photographs.values())
    for at in range(count):
        picture = pictures[at % len(pictures)]
        height, width = picture.shape[:2]
        side = int(min(height, width) * random.uniform(*SCALES))
        top = int(random.integers(0, height - side + 1))
        left = int(random.integers(0, width - side + 1))
        part = np.ascontiguousarray(picture[top : top + side, left : left + side])
        small = Image.fromarray(part).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        array = (np.asarray(small, np.float32) - 127) / 128
        mirrored = array[:, ::-1] if random.random() < 0.5 else array
        yield np.ascontiguousarray(mirrored.transpose(2, 0, 1))
