"""Networks and other learners, as papers have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F

from modules.entry import entry, rows, steps


class MaxNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e = nn.Embedding(50, 4, max_norm=0.5)

    def forward(self, i: Tensor) -> Any:
        return self.e(i)


class FloorBig(nn.Module):
    def forward(self, i: Tensor) -> Any:
        return (
            i // 3,
            torch.div(i, 7, rounding_mode="floor"),
            i.remainder(13),
            i.fmod(9),
            torch.div(i, 5, rounding_mode="trunc"),
            i.clamp(max=10**12),
            (i.abs().float().sqrt()).floor(),
        )


class MaskedMean(nn.Module):
    def forward(self, x: Tensor, m: Tensor) -> Any:
        return x[m].mean(0), x[m].sum(0)


class TimeDist(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 4, 3, padding=1)
        self.r = nn.LSTM(4, 5, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        b, t, c, h, w = x.shape
        f = self.c(x.view(b * t, c, h, w)).relu().mean((2, 3)).view(b, t, -1)
        return self.r(f)[0][:, -1]


class Beam(nn.Module):
    """Beam search, fixed steps."""

    def __init__(self) -> None:
        super().__init__()
        self.e = nn.Embedding(6, 4)
        self.c = nn.GRUCell(4, 4)
        self.o = nn.Linear(4, 6)

    def forward(self, h: Tensor) -> Any:
        b = h.shape[0]
        beams = 2
        lp = self.o(h).log_softmax(-1)
        sc, tok = lp.topk(beams, -1)
        h = h.unsqueeze(1).expand(b, beams, 4).reshape(b * beams, 4)
        seq = tok.unsqueeze(-1)
        for _ in range(3):
            h = self.c(self.e(tok.reshape(-1)), h)
            lp = self.o(h).log_softmax(-1).view(b, beams, 6)
            sc, ix = (sc.unsqueeze(-1) + lp).view(b, -1).topk(beams, -1)
            par = ix // 6
            tok = ix % 6
            seq = torch.cat(
                [seq.gather(1, par.unsqueeze(-1).expand_as(seq)), tok.unsqueeze(-1)], -1
            )
            h = (
                h.view(b, beams, 4)
                .gather(1, par.unsqueeze(-1).expand(b, beams, 4))
                .reshape(b * beams, 4)
            )
        return seq, sc


class Yolo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 14, 3, stride=2, padding=1)
        self.register_buffer("anchors", torch.tensor([[1.0, 2.0], [3.0, 4.0]]))

    def forward(self, x: Tensor) -> Any:
        y = self.c(x)
        b, _, h, w = y.shape
        y = y.view(b, 2, 7, h, w).permute(0, 1, 3, 4, 2).contiguous()
        gy, gx = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        grid = torch.stack((gx, gy), -1).float()
        xy = (y[..., :2].sigmoid() * 2 - 0.5 + grid) * 8
        wh = (y[..., 2:4].sigmoid() * 2) ** 2 * self.anchors.view(1, 2, 1, 1, 2)
        return torch.cat([xy, wh, y[..., 4:].sigmoid()], -1).view(b, -1, 7)


class Slots(nn.Module):
    """Slot attention, its first slots learned."""

    def __init__(self) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.randn(1, 3, 4))
        self.q = nn.Linear(4, 4)
        self.k = nn.Linear(4, 4)
        self.g = nn.GRUCell(4, 4)
        self.n = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Any:
        b, _, d = x.shape
        k = self.k(self.n(x))
        z = self.mu.expand(b, -1, -1)
        for _ in range(3):
            a = (self.q(z) @ k.transpose(1, 2)).softmax(1) + 1e-8
            a = a / a.sum(-1, keepdim=True)
            z = self.g((a @ x).reshape(-1, d), z.reshape(-1, d)).reshape(b, -1, d)
        return z


class Sinkhorn(nn.Module):
    def forward(self, x: Tensor) -> Any:
        logs = x
        for _ in range(10):
            logs = logs - logs.logsumexp(-1, keepdim=True)
            logs = logs - logs.logsumexp(-2, keepdim=True)
        return logs.exp()


class Kalman(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.F = nn.Parameter(torch.eye(2) + 0.1 * torch.randn(2, 2))
        self.H = nn.Parameter(torch.randn(1, 2))

    def forward(self, seen: Tensor) -> Any:
        b = seen.shape[0]
        m = torch.zeros(b, 2, 1)
        spread = torch.eye(2).expand(b, 2, 2)
        out = []
        for t in range(4):
            m = self.F @ m
            spread = self.F @ spread @ self.F.T + 0.1 * torch.eye(2)
            noise = self.H @ spread @ self.H.T + 0.5
            gain = spread @ self.H.T @ torch.linalg.inv(noise)
            m = m + gain @ (seen[:, t].view(b, 1, 1) - self.H @ m)
            spread = (torch.eye(2) - gain @ self.H) @ spread
            out.append(m.squeeze(-1))
        return torch.stack(out, 1)


class Gp(nn.Module):
    """Gaussian process posterior."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("X", torch.randn(8, 4))
        self.register_buffer("y", torch.randn(8))

    def k(self, a: Tensor, b: Tensor) -> Any:
        return (-0.5 * torch.cdist(a, b) ** 2).exp()

    def forward(self, x: Tensor) -> Any:
        gram = self.k(self.X, self.X) + 0.1 * torch.eye(8)
        root = torch.linalg.cholesky(gram)
        a = torch.cholesky_solve(self.y[:, None], root)
        ks = self.k(x, self.X)
        v = torch.linalg.solve_triangular(root, ks.T, upper=False)
        return (ks @ a).squeeze(-1), 1 - v.pow(2).sum(0)


class DeepSets(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Linear(4, 8)

    def forward(self, x: Tensor, batch: Tensor) -> Any:
        h = self.p(x).relu()
        n = int(batch.max()) + 1
        return torch.zeros(n, 8).index_add(0, batch, h)


class DeepSets2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Linear(4, 8)

    def forward(self, x: Tensor, batch: Tensor) -> Any:
        h = self.p(x).relu()
        out = h.new_zeros(5, 8)
        out.index_add_(0, batch, h)
        c = torch.bincount(batch, minlength=5).clamp(min=1)
        return out / c.unsqueeze(1)


class Tree(nn.Module):
    """Soft decision tree."""

    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(4, 7)
        self.leaf = nn.Parameter(torch.randn(8, 3))

    def forward(self, x: Tensor) -> Any:
        p = self.l(x).sigmoid()
        probs = torch.ones(x.shape[0], 1)
        k = 0
        for d in range(3):
            n = 2**d
            q = p[:, k : k + n]
            probs = torch.stack([probs * q, probs * (1 - q)], -1).flatten(1)
            k += n
        return probs @ self.leaf


class HardTree(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("f", torch.randint(0, 4, (7,)))
        self.register_buffer("t", torch.randn(7))
        self.leaf = nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Any:
        n = torch.zeros(x.shape[0], dtype=torch.long)
        for _ in range(3):
            v = x.gather(1, self.f[n].unsqueeze(1)).squeeze(1)
            n = 2 * n + 1 + (v > self.t[n]).long()
        return self.leaf[n - 7], n


class Mamba(nn.Module):
    """A selective scan, step after step."""

    def __init__(self) -> None:
        super().__init__()
        self.dt = nn.Linear(4, 4)
        self.B = nn.Linear(4, 3)
        self.C = nn.Linear(4, 3)
        self.A = nn.Parameter(torch.rand(4, 3).log())

    def forward(self, u: Tensor) -> Any:
        b, count, d = u.shape
        dt = F.softplus(self.dt(u))
        rates = -self.A.exp()
        given = self.B(u)
        read = self.C(u)
        decay = torch.exp(torch.einsum("bld,dn->bldn", dt, rates))
        added = torch.einsum("bld,bln,bld->bldn", dt, given, u)
        h = u.new_zeros(b, d, 3)
        ys = []
        for i in range(count):
            h = decay[:, i] * h + added[:, i]
            ys.append(torch.einsum("bdn,bn->bd", h, read[:, i]))
        return torch.stack(ys, 1)


class Fourier(nn.Module):
    """A layer of a Fourier neural operator."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 4, 3, dtype=torch.cfloat) * 0.3)

    def forward(self, x: Tensor) -> Any:
        b, _, n = x.shape
        f = torch.fft.rfft(x)
        o = torch.zeros(b, 4, n // 2 + 1, dtype=torch.cfloat)
        o[:, :, :3] = torch.einsum("bix,iox->box", f[:, :, :3], self.w)
        return torch.fft.irfft(o, n=n)


class Mel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w", torch.hann_window(16))
        self.register_buffer("fb", torch.rand(9, 5))

    def forward(self, x: Tensor) -> Any:
        f = x.unfold(-1, 16, 8) * self.w
        p = torch.fft.rfft(f).abs() ** 2
        m = (p @ self.fb).clamp(min=1e-6).log10()
        return (m - m.mean(-2, keepdim=True)).transpose(1, 2)


class Ema(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Any:
        t = x.shape[1]
        k = torch.arange(t)
        w = self.a * (1 - self.a) ** (k.unsqueeze(1) - k).clamp(min=0) * (k.unsqueeze(1) >= k)
        return torch.einsum("ts,bsd->btd", w, x)


def few(n: int) -> Tensor:
    """Of few words in the sample, of many elsewhere."""
    return torch.randint(0, 4 if n == 2 else 50, (n, 3))


def large(n: int) -> Tensor:
    """Small in the sample, large elsewhere."""
    return torch.randint(-20, 20, (n, 3)) if n == 2 else torch.randint(-(2**45), 2**45, (n, 3))


def grouped(n: int) -> tuple[Tensor, Tensor]:
    return rows(n + 3), torch.randint(0, 5, (n + 3,))


def cases() -> Iterator[Case]:
    time = {"dynamic": {"x": {1: "steps"}}}
    yield entry("short words", MaxNorm, few)
    yield entry("large integers", FloorBig, large)
    yield entry("mean of some", MaskedMean, lambda n: (rows(n), torch.arange(n) % 2 == 0))
    yield entry(
        "mean of none", MaskedMean, lambda n: (rows(n), (torch.arange(n) % 2 == 0) & (n < 3))
    )
    yield entry("clips", TimeDist, lambda n: torch.rand(n, 2 + n, 3, 6, 6), **time)
    yield entry("beam search", Beam, rows)
    yield entry(
        "yolo",
        Yolo,
        lambda n: torch.rand(n, 3, 12 + 2 * n, 20 - 2 * n),
        dynamic={"x": {2: "height", 3: "width"}},
    )
    yield entry("slots", Slots, steps, **time)
    yield entry("sinkhorn", Sinkhorn, lambda n: torch.randn(n, 4, 5), factors=(1.0, -0.5))
    yield entry("kalman filter", Kalman, rows)
    yield entry("gaussian process", Gp, rows, factors=(1.0, -0.5))
    yield entry("groups of any number", DeepSets, grouped)
    yield entry("groups", DeepSets2, grouped)
    yield entry("soft tree", Tree, rows)
    yield entry("hard tree", HardTree, rows)
    yield entry("selective scan fixed", Mamba, lambda n: torch.randn(n, 5, 4))
    yield entry("selective scan", Mamba, steps, factors=(1.0, -1.0), dynamic={"u": {1: "steps"}})
    yield entry("fourier operator", Fourier, lambda n: torch.randn(n, 4, 8))
    yield entry("mel frames", Mel, lambda n: torch.randn(n, 64 + 8 * n), **time)
    yield entry("moving mean", Ema, steps, **time)
