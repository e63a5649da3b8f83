"""Pictures and sound: resampling, pools, norms, detection."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torchvision import ops

from modules.entry import Call, entry, picture


class Tower(nn.Module):
    """A plain CNN ending in a flatten by x.size(0)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 6 * 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        x = x.view(x.size(0), -1)
        return self.head(x)


class Unet(nn.Module):
    """Down and up again, with a skip cut to size."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = nn.Conv2d(7, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(F.relu(self.down(x)))
        y = F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)
        return self.out(torch.cat([x, y], 1))


class Stn(nn.Module):
    """A spatial transformer: affine_grid and grid_sample."""

    def __init__(self) -> None:
        super().__init__()
        self.where = nn.Linear(3, 6)

    def forward(self, x: Tensor) -> Tensor:
        theta = self.where(x.mean((2, 3))).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.size()), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)


class Deformable(nn.Module):
    """torchvision's deformable convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Conv2d(3, 18, 3, padding=1)
        self.conv = ops.DeformConv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x, self.offset(x))


class Detector(nn.Module):
    """Boxes and scores with nms: as many answers as there are objects."""

    def __init__(self, *, classes: bool = False) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 6, 3, padding=1)
        self.classes = classes

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        out = self.head(x)[0].flatten(1).T
        corner = out[:, :2] * 20
        boxes = torch.cat([corner, corner + out[:, 2:4].exp() * 8], 1)
        scores = out[:, 4].sigmoid()
        labels = (out[:, 5] > 0).long()
        if self.classes:
            kept = ops.batched_nms(boxes, scores, labels, 0.5)
        else:
            kept = ops.nms(boxes, scores, 0.5)
        return {"boxes": boxes[kept], "scores": scores[kept], "labels": labels[kept]}


class Regions(nn.Module):
    """roi_align over given boxes."""

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        index = torch.zeros(boxes.shape[0], 1)
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:].abs()], 1)
        given = torch.cat([index, corners], 1)
        return ops.roi_align(x, given, output_size=3, spatial_scale=0.5, sampling_ratio=2)


class Patches(nn.Module):
    """A small vision transformer's stem, with a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.places = nn.Parameter(torch.randn(1, 13, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.encoder(x + self.places)[:, 0]


class Windows(nn.Module):
    """Swin's windows: padded, rolled, partitioned, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        x = F.pad(x, (0, 0, 0, -w % 5, 0, -h % 5)).roll((-2, -2), (1, 2))
        hp, wp = x.shape[1], x.shape[2]
        x = x.view(b, hp // 5, 5, wp // 5, 5, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 25, c)
        x = self.linear(x).softmax(1)
        x = x.view(b, hp // 5, wp // 5, 5, 5, c).permute(0, 1, 3, 2, 4, 5).reshape(b, hp, wp, c)
        return x.roll((2, 2), (1, 2))[:, :h, :w]


class Spectrogram(nn.Module):
    """A log spectrogram by stft."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(16))

    def forward(self, x: Tensor) -> Tensor:
        found = torch.stft(x, 16, 8, window=self.window, center=True, return_complex=True)
        return (found.abs().pow(2) + 1e-3).log()


class Normed(nn.Module):
    """Weight, spectral and parametrised norms."""

    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
        self.second = parametrizations.spectral_norm(nn.Conv2d(4, 4, 3))
        self.last = torch.nn.utils.weight_norm(nn.Conv2d(4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()))


def with_boxes(n: int) -> tuple[Tensor, Tensor]:
    return torch.rand(n, 3, 12, 16), torch.rand(n + 1, 4) * 9


def sized(n: int) -> Tensor:
    return torch.rand(n, 3, 11 + n, 18 - n)


ON_PICTURES: dict[str, Any] = {
    "adaptive average": lambda x: F.adaptive_avg_pool2d(x, (4, 1)),
    "adaptive average odd": lambda x: F.adaptive_avg_pool2d(x, (5, 7)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
    "pools": lambda x: (
        F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        + F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)
    ),
    "max pool indices": lambda x: F.max_pool2d(x, 2, return_indices=True),
    "lp pool": lambda x: F.lp_pool2d(x, 2.0, 3, stride=2),
    "pixel shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2), 4),
    "channel shuffle": lambda x: F.channel_shuffle(x.repeat(1, 2, 1, 1), 3),
    "unfold and fold": lambda x: F.fold(F.unfold(x, 3, padding=1), (12, 16), 3, padding=1),
    "pads": lambda x: (
        F.pad(x, (2, 1, 1, 1), mode="reflect") * F.pad(x, (1, 2, 0, 2), mode="replicate")
    ),
    "circular pad": lambda x: F.pad(x, (1, 2, 3, 0), mode="circular"),
    "negative pad": lambda x: F.pad(x, (-1, 2, -2, 0), value=1.5),
    "group norm": lambda x: F.group_norm(x.repeat(1, 2, 1, 1), 3),
    "instance norm": lambda x: F.instance_norm(x),
    "local response": lambda x: F.local_response_norm(x, 3),
    "layer norm": lambda x: F.layer_norm(x, (12, 16)),
    "rms norm": lambda x: F.rms_norm(x, (16,)),
    "global": lambda x: x.mean((2, 3)) + x.amax(dim=(2, 3)) + x.flatten(2).std(-1),
    "dilated": lambda x: F.conv2d(x, torch.ones(6, 1, 3, 3), groups=3, dilation=2, padding="same"),
    "transposed": lambda x: F.conv_transpose2d(
        x, torch.ones(3, 2, 3, 3), stride=2, padding=1, output_padding=1
    ),
    "three dims": lambda x: F.conv3d(x[:, None], torch.ones(2, 1, 2, 3, 3)),
    "grid sample nearest": lambda x: F.grid_sample(
        x,
        torch.linspace(-1.3, 1.2, 60).view(1, 5, 6, 2).expand(x.shape[0], -1, -1, -1),
        mode="nearest",
        padding_mode="border",
        align_corners=False,
    ),
    "grid sample bicubic": lambda x: F.grid_sample(
        x,
        torch.linspace(-1.1, 1.2, 60).view(1, 5, 6, 2).expand(x.shape[0], -1, -1, -1),
        mode="bicubic",
        padding_mode="reflection",
        align_corners=True,
    ),
}
RESAMPLED = {
    "nearest": {}, "nearest-exact": {}, "bilinear": {"align_corners": False}, "area": {},
    "bicubic": {"align_corners": True},
}  # fmt: skip


def cases() -> Iterator[Case]:
    for name, function in ON_PICTURES.items():
        yield entry(name, partial(Call, function), picture)
    for mode, options in RESAMPLED.items():
        yield entry(
            f"resize {mode}",
            partial(Call, partial(F.interpolate, size=(7, 21), mode=mode, **options)),
            picture,
        )
        yield entry(
            f"scale {mode}",
            partial(Call, partial(F.interpolate, scale_factor=1.7, mode=mode, **options)),
            picture,
        )
    yield entry(
        "antialias",
        lambda: Call(partial(F.interpolate, size=(5, 7), mode="bilinear", antialias=True)),
        picture,
    )
    for name, make in (
        ("tower", Tower),
        ("spatial transformer", Stn),
        ("patches", Patches),
        ("deformable", Deformable),
        ("norms of weights", Normed),
    ):
        yield entry(name, make, picture)
    free = {"dynamic": {"x": {2: "height", 3: "width"}}}
    yield entry("u-net any size", Unet, sized, **free)
    yield entry("windows any size", Windows, sized, **free)
    yield entry(
        "adaptive any size",
        lambda: Call(lambda x: F.adaptive_avg_pool2d(x, 1)),
        sized,
        dynamic={"inputs_0": {2: "height", 3: "width"}},
    )
    yield entry("nms", Detector, lambda _: torch.rand(1, 3, 6, 7), size=1, static=True)
    yield entry(
        "batched nms",
        lambda: Detector(classes=True),
        lambda _: torch.rand(1, 3, 6, 7),
        size=1,
        static=True,
    )
    yield entry(
        "roi align",
        Regions,
        with_boxes,
        factors=(1.0,),
        static=True,
        dynamic={"x": {0: "batch"}, "boxes": {0: "regions"}},
    )
    yield entry("spectrogram", Spectrogram, lambda n: torch.randn(n, 64))
