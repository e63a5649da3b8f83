"""Whole small networks: graphs, codebooks, flows, capsules, experts, images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from modules.entry import entry, picture, rows, steps


class Codebook(nn.Module):
    """A VQ-VAE's quantiser: the nearest code, straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Embedding(7, 4)
        self.register_buffer("usage", torch.zeros(7))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distances = (
            z.pow(2).sum(1, keepdim=True) - 2 * z @ self.codes.weight.T
            + self.codes.weight.pow(2).sum(1)
        )  # fmt: skip
        index = distances.argmin(1)
        chosen = self.codes(index)
        loss = F.mse_loss(chosen.detach(), z) + 0.25 * F.mse_loss(chosen, z.detach())
        if self.training:
            self.usage += F.one_hot(index, 7).sum(0)
        return z + (chosen - z).detach(), index, loss


class TopExperts(nn.Module):
    """Two experts of four for each token, by topk and a loop over the experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 4, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 4)) for _ in range(4)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        b, t, d = hidden.shape
        flat = hidden.reshape(-1, d)
        weights, chosen = torch.topk(self.gate(flat).softmax(-1), 2, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        out = torch.zeros_like(flat)
        mask = F.one_hot(chosen, 4).permute(2, 1, 0)
        for number, expert in enumerate(self.experts):
            which, token = torch.where(mask[number])
            out.index_add_(0, token, expert(flat[token]) * weights[token, which, None])
        return out.reshape(b, t, d)


class GraphAttention(nn.Module):
    """A GAT layer: softmax over the edges of each node."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6, bias=False)
        self.score = nn.Parameter(torch.randn(12))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        h = self.linear(x)
        source, target = edge_index[0], edge_index[1]
        score = F.leaky_relu(torch.cat([h[source], h[target]], -1) @ self.score, 0.2)
        best = torch.full((x.size(0),), float("-inf")).scatter_reduce(
            0, target, score, reduce="amax", include_self=True
        )
        weight = (score - best[target]).exp()
        total = torch.zeros(x.size(0)).scatter_add(0, target, weight)
        out = torch.zeros_like(h)
        return out.index_add(0, target, h[source] * (weight / (total[target] + 1e-9))[:, None])


class GraphConv(nn.Module):
    """A GCN by a sparse adjacency, normalised by degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        n = x.shape[0]
        dense = torch.zeros(n, n)
        dense[edge_index[0], edge_index[1]] = 1.0
        dense = dense + torch.eye(n)
        scale = dense.sum(1).pow(-0.5)
        return self.linear(scale[:, None] * dense * scale[None] @ x).log_softmax(-1)


class Ode(nn.Module):
    """A neural ODE by Runge and Kutta's fourth order, ten fixed steps."""

    def __init__(self) -> None:
        super().__init__()
        self.field = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4))
        self.register_buffer("times", torch.linspace(0, 1, 11))

    def slope(self, t: Tensor, y: Tensor) -> Tensor:
        return self.field(torch.cat([y, t.expand(y.shape[0], 1)], 1))

    def forward(self, y: Tensor) -> Tensor:
        path = [y]
        for start, end in zip(self.times[:-1], self.times[1:], strict=True):
            step = end - start
            a = self.slope(start, y)
            b = self.slope(start + step / 2, y + step * a / 2)
            c = self.slope(start + step / 2, y + step * b / 2)
            d = self.slope(end, y + step * c)
            y = y + step * (a + 2 * b + 2 * c + d) / 6
            path.append(y)
        return torch.stack(path)


class ConvLstm(nn.Module):
    """A convolutional LSTM over a clip of fixed length."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 + 3, 12, 3, padding=1)

    def forward(self, clip: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        b, t, _, h, w = clip.size()
        hidden = torch.zeros(b, 3, h, w, device=clip.device)
        cell = torch.zeros_like(hidden)
        out = []
        for step in range(t):
            i, f, o, g = torch.chunk(self.gates(torch.cat((clip[:, step], hidden), 1)), 4, dim=1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
            out.append(hidden)
        return torch.stack(out, 1), (hidden, cell)


class OddUnet(nn.Module):
    """A U-Net of three levels over odd sizes, padded to fit."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 3, padding=1)
        self.up1, self.up2 = nn.ConvTranspose2d(8, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)
        self.out = nn.Conv2d(8, 1, 1)
        self.d = nn.Conv2d(16, 8, 3, padding=1)

    @staticmethod
    def fit(x: Tensor, like: Tensor) -> Tensor:
        dy, dx = like.size(2) - x.size(2), like.size(3) - x.size(3)
        return F.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b(F.max_pool2d(a, 2)))
        c = F.relu(self.c(F.max_pool2d(b, 2)))
        b = F.relu(self.d(torch.cat([b, self.fit(self.up1(c), b)], 1)))
        return self.out(torch.cat([a, self.fit(self.up2(b), a)], 1)).sigmoid()


class Wavenet(nn.Module):
    """Gated, causal, dilated convolutions with skips, over any length."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 4, 1)
        self.convs = nn.ModuleList(nn.Conv1d(4, 8, 2, dilation=2**k) for k in range(4))
        self.skips = nn.ModuleList(nn.Conv1d(4, 4, 1) for _ in range(4))

    def forward(self, sound: Tensor) -> Tensor:
        x, total = self.stem(sound), 0
        for level, (conv, skip) in enumerate(zip(self.convs, self.skips, strict=True)):
            left, right = conv(F.pad(x, (2**level, 0))).chunk(2, 1)
            gated = left.tanh() * right.sigmoid()
            total = total + skip(gated)
            x = x + gated
        return F.elu(total)


class Capsules(nn.Module):
    """Routing by agreement, three rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 6, 3, 5, 4) * 0.3)

    @staticmethod
    def squash(s: Tensor) -> Tensor:
        norm = s.norm(dim=-1, keepdim=True)
        return norm**2 / (1 + norm**2) * s / (norm + 1e-8)

    def forward(self, u: Tensor) -> Tensor:
        votes = (self.weight @ u[:, :, None, :, None]).squeeze(-1)
        logits = torch.zeros(*votes.shape[:3], 1)
        for turn in range(3):
            v = self.squash((logits.softmax(2) * votes).sum(1, keepdim=True))
            if turn < 2:
                logits = logits + (votes * v).sum(-1, keepdim=True)
        return v.squeeze(1).norm(dim=-1)


class Hyper(nn.Module):
    """A network that makes another's weights, called with functional_call."""

    def __init__(self) -> None:
        super().__init__()
        self.made = nn.Linear(4, 3)
        self.maker = nn.Linear(2, 15)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        flat = self.maker(style.mean(0))
        weights = {"weight": flat[:12].view(3, 4), "bias": flat[12:]}
        return functional_call(self.made, weights, (x,))


class Film(nn.Module):
    """A convolution whose kernel differs from row to row: groups by batch."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Linear(3, 2 * 3 * 9)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        kernels = self.kernels(x.mean((2, 3))).view(b * 2, c, 3, 3)
        out = F.conv2d(x.reshape(1, b * c, h, w), kernels, padding=1, groups=b)
        return out.view(b, 2, h, w)


class PerRow(nn.Module):
    """The same, by vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        made = self.maker(x).view(-1, 2, 4)
        return torch.func.vmap(lambda w, row: F.linear(row, w).tanh())(made, x)


class Ctc(nn.Module):
    """Greedy CTC: repeats and blanks away, padded with blanks."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 5)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        best = self.head(frames).argmax(-1)
        before = F.pad(best[:, :-1], (1, 0), value=-1)
        kept = (best != before) & (best != 0)
        order = torch.argsort((~kept).to(torch.int32), dim=1, stable=True)
        tokens = best.masked_fill(~kept, 0).gather(1, order)
        return tokens, kept.sum(1)


class TiedCoder(nn.Module):
    """An autoencoder whose decoder is the encoder transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 3)
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> dict[str, Any]:
        code = torch.sigmoid(self.encoder(x))
        return {
            "code": code,
            "parts": {"again": F.linear(code, self.encoder.weight.t(), self.bias)},
        }


class Coupling(nn.Module):
    """A normalising flow with its log-determinant, and its inverse."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.Linear(2, 4) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, total = x, torch.zeros(x.shape[0])
        for net in self.nets:
            left, right = z.split(2, 1)
            scale, shift = net(left).tanh().chunk(2, 1)
            z = torch.cat([right * scale.exp() + shift, left], 1)
            total += scale.sum(1)
        y = z
        for net in reversed(self.nets):
            right, left = y.split([2, 2], 1)
            scale, shift = net(left).tanh().chunk(2, 1)
            y = torch.cat([left, (right - shift) * (-scale).exp()], 1)
        return z, total, y


class PointNet(nn.Module):
    """Nearest neighbours of each point, their features gathered."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, points: Tensor) -> Tensor:
        b, n, _ = points.shape
        near = torch.cdist(points, points).topk(3, dim=-1, largest=False).indices
        base = torch.arange(b, device=points.device).view(-1, 1, 1) * n
        found = points.reshape(b * n, 3)[(near + base).view(-1)].view(b, n, 3, 3)
        centre = points.unsqueeze(2).expand_as(found)
        return self.mlp(torch.cat([centre, found - centre], -1)).amax(2).mean(1)


class Factorised(nn.Module):
    """A factorisation machine over mixed fields."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, 3) for size in (5, 9, 4))
        self.dense = nn.Linear(4, 3)

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        fields = [table(ids[:, k]) for k, table in enumerate(self.tables)]
        stack = torch.stack([*fields, self.dense(numbers)], 1)
        return 0.5 * (stack.sum(1).square() - stack.square().sum(1)).sum(-1, keepdim=True)


class StateSpace(nn.Module):
    """A diagonal state-space layer as a long convolution by FFT."""

    def __init__(self) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.rand(4))
        self.mix = nn.Parameter(torch.randn(4))

    def forward(self, u: Tensor) -> Tensor:
        length = u.shape[1]
        kernel = self.mix[:, None] * torch.exp(-self.decay[:, None] * torch.arange(length))
        both = torch.fft.rfft(u.transpose(1, 2), n=2 * length) * torch.fft.rfft(
            kernel, n=2 * length
        )
        return torch.fft.irfft(both, n=2 * length)[..., :length].transpose(1, 2)


def graph(n: int) -> tuple[Tensor, Tensor]:
    return rows(n + 2), torch.randint(0, n + 2, (2, 3 * n + 1))


def cases() -> Iterator[Case]:
    nodes = {"static": True, "dynamic": {"x": {0: "nodes"}, "edge_index": {1: "edges"}}}
    yield entry("codebook", Codebook, rows)
    yield entry("experts by topk", TopExperts, steps, dynamic={"hidden": {1: "steps"}})
    yield entry("graph attention", GraphAttention, graph, **nodes)
    yield entry("graph convolution", GraphConv, graph, **nodes)
    yield entry("neural ode", Ode, rows)
    yield entry("conv lstm", ConvLstm, lambda n: torch.randn(n, 4, 2, 5, 6))
    yield entry(
        "u-net odd",
        OddUnet,
        lambda n: torch.rand(n, 3, 13 + n, 22 - n),
        dynamic={"x": {2: "height", 3: "width"}},
    )
    yield entry(
        "wavenet", Wavenet, lambda n: torch.randn(n, 2, 20 + n), dynamic={"sound": {2: "steps"}}
    )
    yield entry("capsules", Capsules, lambda n: torch.randn(n, 6, 4))
    yield entry("hyper network", Hyper, lambda n: (rows(n), torch.randn(n, 2)))
    yield entry("kernel a row", Film, picture)
    yield entry("weights a row", PerRow, rows)
    yield entry("greedy ctc", Ctc, steps, dynamic={"frames": {1: "frames"}})
    yield entry("tied coder", TiedCoder, rows)
    yield entry("flow", Coupling, rows)
    yield entry(
        "point net", PointNet, lambda n: torch.randn(n, 5 + n, 3), dynamic={"points": {1: "points"}}
    )
    yield entry("factorisation", Factorised, lambda n: (torch.randint(0, 4, (n, 3)), rows(n)))
    yield entry("state space fixed", StateSpace, lambda n: torch.randn(n, 8, 4))
    yield entry("state space", StateSpace, steps, dynamic={"u": {1: "steps"}})
