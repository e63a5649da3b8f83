from __future__ import annotations

import contextlib
import io
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from onnxpack.errors import FeedError, MissingExtraError, PackError
from onnxpack.pack.manifest import Preprocess
from onnxpack.runtime import picture
from onnxpack.runtime.picture import read_picture
from onnxpack.signature import TensorSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PICTURES = {
    name: Image.fromarray(getattr(data, name)()) for name in ("chelsea", "astronaut", "coffee")
}


def spec(*shape, dtype="float32") -> TensorSpec:
    return TensorSpec("x", dtype, shape)


NCHW = spec("batch", 3, "height", "width")


def png(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, options.pop("format", "PNG"), **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("resize", "crop"),
    [
        (256, (224, 224)),
        (232, (224, 224)),
        (100, (131, 90)),
        (64, (301, 640)),
        (33, (32, 31)),
        (57, None),
    ],
)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_equals_torchvision(name, turned, resize, crop, interpolation):
    image = PICTURES[name].rotate(90, expand=True) if turned else PICTURES[name]
    wanted = transforms.Compose(
        [
            transforms.Resize(resize, InterpolationMode(interpolation), antialias=True),
            *([transforms.CenterCrop(crop)] if crop else []),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )(image)
    preprocess = Preprocess(
        resize=resize, crop=crop, mean=MEAN, std=STD, interpolation=interpolation
    )
    found = read_picture(png(image, compress_level=1), NCHW, preprocess)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, wanted.numpy()[None], atol=1e-6, rtol=0)


def test_from_a_file(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(png(PICTURES["chelsea"]))
    for source in (path, str(path)):
        np.testing.assert_array_equal(
            read_picture(source, NCHW), read_picture(path.read_bytes(), NCHW)
        )


def test_without_preprocess_the_fixed_size_is_taken():
    found = read_picture(png(PICTURES["chelsea"]), spec("n", 3, 32, 48))
    wanted = np.asarray(PICTURES["chelsea"].resize((48, 32), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(found[0], wanted.transpose(2, 0, 1) / 255.0, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "found"),
    [("h", "w", (300, 451)), (32, "w", (32, 451)), ("h", 32, (300, 32))],
)
def test_a_dynamic_side_keeps_the_pictures_own(height, width, found):
    assert read_picture(png(PICTURES["chelsea"]), spec(1, 3, height, width)).shape[2:] == found


def test_channels_last_and_whole_pixels():
    found = read_picture(png(PICTURES["chelsea"]), spec("n", "h", "w", 3, dtype="uint8"))
    np.testing.assert_array_equal(found[0], data.chelsea())
    assert found.dtype == np.uint8


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats(dtype):
    assert read_picture(png(PICTURES["chelsea"]), spec(1, 3, 8, 8, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("shape", [("n", 1, "h", "w"), ("n", "h", "w", 1)])
def test_grey_models_get_one_channel(shape):
    found = read_picture(png(PICTURES["coffee"]), spec(*shape), Preprocess(mean=(0.5,) * 3))
    wanted = np.asarray(PICTURES["coffee"].convert("L"), np.float32) / 255 - 0.5
    np.testing.assert_allclose(found.squeeze(), wanted, atol=1e-6)


def test_the_channel_axis_when_names_hide_it():
    assert read_picture(png(PICTURES["chelsea"]), spec("n", "c", 8, 9)).shape == (1, 3, 8, 9)
    assert read_picture(png(PICTURES["chelsea"]), spec("n", 3, 8, 3)).shape == (1, 3, 8, 3)


@pytest.mark.parametrize("shape", [None, (1, 3), (1, 3, 8, 8, 8), (1, 64, 8, 8), ()])
def test_an_input_that_takes_no_pictures(shape):
    with pytest.raises(FeedError, match="is not a picture"):
        read_picture(png(PICTURES["chelsea"]), TensorSpec("x", "float32", shape))
    with pytest.raises(FeedError, match="is not a picture"):
        read_picture(png(PICTURES["chelsea"]), spec(1, 3, 8, 8, dtype="int64"))


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1", "CMYK"])
def test_modes_become_rgb(mode):
    image = Image.fromarray(GREY).convert("RGB").convert(mode)
    format_ = "TIFF" if mode == "CMYK" else "PNG"
    found = read_picture(png(image, format=format_), spec(1, 3, "h", "w"))
    np.testing.assert_allclose(
        found[0] * 255, np.asarray(image.convert("RGB")).transpose(2, 0, 1), atol=1e-4
    )


def test_a_palette_with_transparency_is_quiet():
    image = Image.fromarray(GREY).convert("P")
    content = png(image, transparency=bytes(range(256)))
    assert read_picture(content, NCHW).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(format_):
    wide = GREY.astype(np.uint16) * 257
    found = read_picture(png(Image.fromarray(wide), format=format_), spec(1, 1, "h", "w"))
    np.testing.assert_allclose(found.squeeze() * 255, GREY, atol=1e-4)


def test_32_bits_and_floats():
    whole = Image.fromarray(GREY.astype(np.int32))
    found = read_picture(png(whole, format="TIFF"), spec(1, 1, "h", "w"))
    np.testing.assert_allclose(found.squeeze() * 255, GREY, atol=1e-4)
    floats = Image.fromarray(GREY.astype(np.float32))
    with pytest.raises(FeedError, match="unknown range"):
        read_picture(png(floats, format="TIFF"), spec(1, 1, "h", "w"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_respected(orientation):
    upright = np.zeros((6, 10, 3), np.uint8)
    upright[:2, :3] = 255
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo(upright)))
    found = read_picture(png(stored, exif=exif), spec(1, "h", "w", 3, dtype="uint8"))
    np.testing.assert_array_equal(found[0], upright)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 7_000), (9_500, 9_500), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused(size):
    with pytest.raises(FeedError, match=r"too large|pixels"):
        read_picture(bomb(*size), NCHW)


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(resize=2**16),
        Preprocess(crop=(2**20, 2**20)),
        Preprocess(resize=9000, crop=(1, 1)),
    ],
)
def test_a_preprocess_that_takes_all_memory_is_refused(preprocess):
    with pytest.raises(FeedError, match="expected 1 to"):
        read_picture(png(PICTURES["chelsea"]), NCHW, preprocess)


def test_an_input_that_takes_all_memory_is_refused():
    with pytest.raises(FeedError, match="expected 1 to"):
        read_picture(png(PICTURES["chelsea"]), spec(1, 3, 2**30, 2**30))


def test_a_thin_picture_is_not_resized_to_a_mile():
    with pytest.raises(FeedError, match="expected 1 to"):
        read_picture(png(Image.new("RGB", (60_000, 1))), NCHW, Preprocess(resize=256))


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(crop=(0, 5)),
        Preprocess(crop=(5, -1)),
        Preprocess(std=(1.0, 0.0, 1.0)),
        Preprocess(mean=(float("nan"), 0.0, 0.0)),
    ],
)
def test_a_preprocess_that_cannot_be_done(preprocess):
    with pytest.raises(PackError, match="preprocess"):
        read_picture(png(PICTURES["chelsea"]), NCHW, preprocess)


def test_whole_pixels_cannot_be_normalised():
    with pytest.raises(PackError, match="integer pixels"):
        read_picture(
            png(PICTURES["chelsea"]), spec(1, 3, 8, 8, dtype="uint8"), Preprocess(mean=MEAN)
        )


PNG = png(Image.fromarray(GREY).convert("RGB"))
JPEG = png(Image.fromarray(GREY).convert("RGB"), format="JPEG")


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", PNG[:40], JPEG[:200], b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"],
)
def test_what_is_no_picture(content):
    with pytest.raises(FeedError, match="cannot be read as a picture"):
        read_picture(content, NCHW)


def test_a_path_that_is_no_picture(tmp_path):
    for path in (tmp_path, tmp_path / "absent.png", "nul\0"):
        with pytest.raises(FeedError, match="cannot be read as a picture"):
            read_picture(path, NCHW)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150, deadline=None)
@given(content=st.sampled_from([PNG, JPEG]), place=st.integers(0, 200), junk=st.binary(max_size=9))
def test_damaged_pictures_are_read_or_refused(content, place, junk):
    damaged = content[:place] + junk + content[place + len(junk) :]
    with contextlib.suppress(FeedError):
        assert read_picture(damaged, spec(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError) as caught:
        read_picture(PNG, NCHW)
    assert caught.value.remedy == 'pip install "onnxpack[picture]"'


def test_formats_are_those_that_pillow_reads_itself():
    Image.init()
    assert set(picture.FORMATS) <= set(Image.OPEN)
