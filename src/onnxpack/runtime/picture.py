"""Convert a picture to a model's input, as torchvision's transforms do."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onnxpack.errors import FeedError, MissingExtraError, PackError
from onnxpack.pack.manifest import Preprocess
from onnxpack.signature import Array, Dim, TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 2**26
"""Most pixels before and after a resize: 192 MiB in memory. More is taken for an attack."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Accepted formats: for others Pillow runs external programs, which a file could misuse."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")
"""Suffixes of files in these formats."""


def read_picture(
    source: str | Path | bytes, spec: TensorSpec, preprocess: Preprocess | None = None
) -> Array:
    """Read a picture as a batch of one.

    Args:
        source: path or content of a picture file.
        spec: the input to fill: NCHW or NHWC, with 3 channels (RGB) or 1 (grey); float16,
            float32, float64, or uint8.
        preprocess: how to resize, crop and scale. Without it, the picture is resized to the spec's
            fixed height and width, and scaled to 0…1. An axis without a fixed size keeps the
            picture's own.

    Returns:
        float[1, C, H, W] or [1, H, W, C] of the spec's dtype; uint8 holds 0…255, not scaled.

    Raises:
        FeedError: the file is not a picture or too large, or the input does not take pictures.
        PackError: ``preprocess`` cannot be carried out.
        MissingExtraError: Pillow is not installed.
    """
    layout = _layout(spec)
    image = _open(source, "L" if layout.channels == 1 else "RGB")
    if preprocess is None:
        image = _resize(image, layout.size(image), "bilinear")
    else:
        image = _preprocess(image, preprocess)
    pixels = np.asarray(image).reshape(image.height, image.width, layout.channels)
    values = _scale(pixels, spec, preprocess or Preprocess())
    batch = values[np.newaxis]
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if layout.channels_first else batch)


class _Layout(NamedTuple):
    channels: int
    channels_first: bool
    height: Dim
    width: Dim

    def size(self, image: Image) -> tuple[int, int]:
        """Return width and height: the spec's if fixed, else the picture's own."""
        width = self.width if isinstance(self.width, int) else image.width
        height = self.height if isinstance(self.height, int) else image.height
        return width, height


def _layout(spec: TensorSpec) -> _Layout:
    if spec.shape is not None and len(spec.shape) == 4:
        _, second, third, last = spec.shape
        if second in (1, 3):
            return _Layout(int(second), True, third, last)
        if last in (1, 3):
            return _Layout(int(last), False, second, third)
        if isinstance(second, str):
            return _Layout(3, True, third, last)
    raise FeedError(
        f"input {spec.name!r} is {spec}, which is not a picture: expected [batch, 3, height, "
        "width] or [batch, height, width, 3], or 1 in place of 3."
    )


def _open(source: str | Path | bytes, mode: str) -> Image:
    """Open and decode a picture, turned upright, in one of Pillow's modes."""
    try:
        from PIL import Image, ImageOps
    except ImportError as exc:
        raise MissingExtraError("PIL", extra="picture") from exc
    what = "the picture" if isinstance(source, bytes) else f"{str(source)!r}"
    broken = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error, EOFError)
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
            with Image.open(stream, formats=FORMATS) as opened:
                _bound(opened.width, opened.height, what)
                return _to_8_bits(ImageOps.exif_transpose(opened)).convert(mode)
    except bombs as exc:
        raise FeedError(f"{what} is too large: {exc}") from exc
    except (*broken, MemoryError, OverflowError) as exc:
        raise FeedError(
            f"{what} cannot be read as a picture: {exc}; expected one of {', '.join(FORMATS)}."
        ) from exc


def _to_8_bits(image: Image) -> Image:
    from PIL import Image as Images

    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        narrow = np.clip(wide, 0, 65535) // 257 if wide.max(initial=0) > 255 else wide.clip(0)
        return Images.fromarray(narrow.astype(np.uint8))
    return image


def _preprocess(image: Image, preprocess: Preprocess) -> Image:
    if preprocess.resize is not None:
        # The long side is rounded down, as torchvision does.
        short, long = sorted(image.size)
        far = int(preprocess.resize * long / short)
        upright = image.width <= image.height
        size = (preprocess.resize, far) if upright else (far, preprocess.resize)
        image = _resize(image, size, preprocess.interpolation)
    return image if preprocess.crop is None else _crop(image, preprocess.crop)


def _resize(image: Image, size: tuple[int, int], interpolation: str) -> Image:
    from PIL.Image import Resampling

    _bound(*size, f"the picture, resized to {size[0]} × {size[1]},")
    return image if image.size == size else image.resize(size, Resampling[interpolation.upper()])


def _crop(image: Image, crop: tuple[int, int]) -> Image:
    """Crop the center; missing parts at the edges are black, as in torchvision."""
    height, width = crop
    if height < 1 or width < 1:
        raise PackError(f"pack.json: preprocess.crop is {height} × {width}, expected 1 or more.")
    _bound(width, height, f"the part of {width} × {height}")
    top, left = (_start(*pair) for pair in ((image.height, height), (image.width, width)))
    return image.crop((left, top, left + width, top + height))


def _start(found: int, wanted: int) -> int:
    return -((wanted - found) // 2) if wanted > found else round((found - wanted) / 2.0)


def _scale(pixels: Array, spec: TensorSpec, preprocess: Preprocess) -> Array:
    channels = pixels.shape[-1]
    mean = np.asarray(preprocess.mean[:channels], np.float32)
    std = np.asarray(preprocess.std[:channels], np.float32)
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and std.all()):
        raise PackError("pack.json: preprocess.mean and .std must be finite, .std not 0.")
    if spec.dtype == "uint8":
        if mean.any() or (std != 1).any():
            raise PackError(
                f"input {spec.name!r} is {spec}: integer pixels, but preprocess.mean and .std "
                "are for values from 0 to 1."
            )
        return pixels
    if spec.dtype not in ("float16", "float32", "float64"):
        raise FeedError(
            f"input {spec.name!r} is {spec}, which is not a picture: expected float32 or uint8."
        )
    values: Any = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.asarray(values, spec.dtype)


def _bound(width: int, height: int, what: str) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise FeedError(f"{what} is {width} × {height} pixels, expected 1 to {MAX_PIXELS} in all.")
