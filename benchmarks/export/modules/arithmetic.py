"""Numbers at their edges: signs, rounding, NaN, dtypes, shapes as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from case import Case
from torch import Tensor, nn

from modules.entry import Call, Calls, Low, entry, rows, steps

OF_ROWS: dict[str, Any] = {
    "floor division": lambda f, x: f(x) // 0.7 + torch.div(x, 0.3, rounding_mode="floor"),
    "truncated division": lambda f, x: torch.div(f(x), 0.7, rounding_mode="trunc"),
    "remainder": lambda f, x: f(x) % 1.5 + torch.fmod(x, 1.5),
    "round half to even": lambda f, x: (x * 2).round() / 2 + f(x).ceil() - f(x).trunc(),
    "frac": lambda f, x: f(x).frac(),
    "clamp by tensors": lambda f, x: f(x).clamp(x.min(1, keepdim=True).values, x.abs()),
    "nan to num": lambda f, x: torch.nan_to_num(x.log(), nan=-1.0, neginf=-2.0) + f(x),
    "is nan": lambda f, x: (x.sqrt().isnan(), (f(x) / x.relu()).isinf()),
    "xlogy": lambda f, x: torch.special.xlogy(x.relu(), x.relu() + 1) + f(x),
    "logsumexp": lambda f, x: f(x).logsumexp(1) + f(x).log_softmax(1)[:, 0],
    "softplus family": lambda f, x: nn.functional.softplus(f(x), beta=2.0, threshold=5.0),
    "activations": lambda f, x: (
        nn.functional.mish(f(x))
        + nn.functional.hardswish(x)
        + nn.functional.celu(f(x))
        + nn.functional.gelu(x, approximate="tanh")
    ),
    "norms": lambda f, x: f(x).norm(dim=1) + torch.linalg.vector_norm(x, 3, dim=1),
    "variance": lambda f, x: f(x).var(1) + x.std(1, correction=0),
    "cosine": lambda f, x: nn.functional.cosine_similarity(f(x), x, dim=1),
    "normalize": lambda f, x: nn.functional.normalize(f(x), dim=1),
    "cdist": lambda f, x: torch.cdist(f(x), x),
    "pairwise": lambda f, x: (f(x)[:, None] - x[None]).pow(2).sum(-1).sqrt(),
    "einsum": lambda f, x: torch.einsum("bi,bj,ij->b", f(x), x, torch.ones(4, 4)),
    "kron": lambda f, x: torch.kron(f(x), torch.ones(2, 2)),
    "matrix chain": lambda f, x: f(x) @ torch.linalg.multi_dot([torch.ones(4, 4)] * 3),
    "erf and friends": lambda f, x: torch.erf(f(x)) + torch.expm1(x.clamp(max=2)) + x.atan(),
    "atan2": lambda f, x: torch.atan2(f(x), x),
    "hypot": lambda f, x: torch.hypot(f(x), x),
    "sign and heaviside": lambda f, x: f(x).sign() + torch.heaviside(x, torch.tensor(0.5)),
    "lerp": lambda f, x: torch.lerp(f(x), x, 0.3),
    "addcmul": lambda f, x: torch.addcmul(f(x), x, x, value=0.5),
    "prod": lambda f, x: f(x).prod(1),
    "all and any": lambda f, x: ((f(x) > 0).all(1), (f(x) > 0).any(1)),
    "logical": lambda f, x: (f(x) > 0) ^ (x > 0) | ~(x > 1),
    "scalar out": lambda f, x: f(x).mean(),
    "constant out": lambda f, x: (f(x), torch.tensor([1.0, 2.0])),
    "input out": lambda f, x: (x, f(x)),
    "twice the same": lambda f, x: (lambda y: (y, y))(f(x)),
    "python number of sizes": lambda f, x: f(x) / x.shape[0] * x.numel(),
    "sizes into a tensor": lambda f, x: f(x) * torch.tensor(x.shape[1]) + x.size(0),
    "size arithmetic": lambda f, x: f(x).reshape(x.size(0) * 2, -1).sum(1),
    "numpy constants": lambda f, x: f(x) * np.float64(2.5) @ torch.from_numpy(np.eye(4)).float(),
    "double inside": lambda f, x: f(x).double().cumsum(1).float(),
    "type conversions": lambda f, x: (f(x).long(), x.to(torch.int32), (x > 0).to(x)),
    "bits": lambda f, x: (x.long() & 3) | (x.long().abs() << 2),
    "fft magnitude": lambda f, x: torch.fft.rfft(f(x)).abs(),
    "fft real": lambda f, x: torch.fft.fft(f(x)).real,
    "complex product": lambda f, x: torch.view_as_real(torch.complex(f(x), x) * 1j),
    "det": lambda f, x: torch.linalg.det(f(x)[:, :, None] * x[:, None] + 3 * torch.eye(4)),
    "gumbel free softmin": lambda f, x: nn.functional.softmin(f(x), dim=-1),
}


def whole(n: int) -> Tensor:
    return torch.randint(-9, 10, (n, 4))


OF_INTEGERS: dict[str, Any] = {
    "integer division": lambda x: (x // 3, torch.div(x, -2, rounding_mode="trunc")),
    "integer remainder": lambda x: (x % 3, torch.fmod(x, 3), torch.remainder(x, -4)),
    "integer powers": lambda x: x**2 + x.abs().pow(3),
    "integer mean": lambda x: x.float().mean(1).round().long(),
    "integer shifts": lambda x: (x.abs() << 1) + (x.abs() >> 1),
    "integer true division": lambda x: x / 4,
    "integer minimum": lambda x: torch.minimum(x, x.flip(1)).amax(1),
}


def cases() -> Iterator[Case]:
    for name, function in OF_ROWS.items():
        yield entry(name, partial(Calls, function), rows)
    for name, function in OF_INTEGERS.items():
        yield entry(name, partial(Call, function), whole)
    for dtype in (torch.uint8, torch.int32, torch.bool):
        yield entry(
            f"{dtype} in".removeprefix("torch."),
            lambda: Calls(lambda f, x: (f(x.float() / 255), x)),
            lambda n, dtype=dtype: torch.randint(0, 2, (n, 4)).to(dtype),
        )
    yield entry(
        "float64",
        lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh()).double(),
        lambda n: rows(n).double(),
    )
    yield entry("float64 in", lambda: Calls(lambda f, x: f(x.float())), lambda n: rows(n).double())
    half, brain = torch.float16, torch.bfloat16
    yield entry("float16 model", partial(Low, half), lambda n: rows(n).half())
    yield entry("bfloat16 model", partial(Low, brain), lambda n: rows(n).bfloat16())
    yield entry("float16 inside", partial(Low, half, half), rows)
    yield entry("bfloat16 inside", partial(Low, brain, brain), rows)
    yield entry("autocast", partial(Low, torch.float32, autocast=True), rows)
    yield entry(
        "mean over steps",
        lambda: Call(lambda x: x.sum(1) / x.shape[1]),
        steps,
        dynamic={"inputs_0": {1: "steps"}},
    )
    yield entry(
        "positional encoding", lambda: Call(encoded), steps, dynamic={"inputs_0": {1: "steps"}}
    )


def encoded(x: Tensor) -> Tensor:
    size, width = x.shape[1], x.shape[2]
    place = torch.arange(size).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2) * (-np.log(10000.0) / width))
    table = torch.zeros(size, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)
    return x + table
