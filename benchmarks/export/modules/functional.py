"""Models that differentiate, vmap and stack others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from case import Case
from torch import Tensor, nn

from modules.entry import entry, rows


class Jvp(nn.Module):
    """A directional derivative in the forward."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.jvp(self.net, (x,), (torch.ones_like(x),))[1]


class Forces(nn.Module):
    """Forces by torch.autograd.grad, as in chemistry."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            energy = self.net(x)
            (slope,) = torch.autograd.grad(energy.sum(), x)
        return energy, -slope


class Ensemble(nn.Module):
    """Models stacked by functorch and run at once."""

    def __init__(self) -> None:
        super().__init__()
        nets = [nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)) for _ in range(3)]
        weights, _ = torch.func.stack_module_state(nets)
        self.names = list(weights)
        self.weights = nn.ParameterList(weights.values())
        self.__dict__["base"] = nets[0]

    def forward(self, x: Tensor) -> Tensor:
        def one(*values: Tensor) -> Tensor:
            named = dict(zip(self.names, values, strict=True))
            return torch.func.functional_call(self.base, named, (x,))

        return torch.vmap(one)(*self.weights).mean(0)


class Physics(nn.Module):
    """A physics-informed network's residual: first and second derivatives of its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            u = self.net(x)
            (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            (second,) = torch.autograd.grad(first[:, 0].sum(), x)
        return u, first[:, 1] - 0.1 * second[:, 0]


class GradCam(nn.Module):
    """What a convolution saw, weighed by the gradient of the best class."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            seen = self.conv(x.detach().requires_grad_())
            best = self.head(seen.relu().mean((2, 3))).amax(1).sum()
            (slope,) = torch.autograd.grad(best, seen)
        return (slope.mean((2, 3), keepdim=True) * seen).sum(1).relu()


class Jacobian(nn.Module):
    """A Jacobian for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(torch.func.jacrev(self.net))(x)


class Implicit(nn.Module):
    """Langevin steps without noise: descent on an energy."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        slope = torch.func.grad(lambda y: self.energy(y).sum())
        for _ in range(3):
            x = x - 0.1 * slope(x)
        return x


def cases() -> Iterator[Case]:
    yield entry("directional derivative", Jvp, rows)
    yield entry("forces", Forces, rows)
    yield entry("ensemble", Ensemble, rows)
    yield entry("physics informed", Physics, rows)
    yield entry("grad cam", GradCam, lambda n: torch.randn(n, 3, 7, 8))
    yield entry("jacobian", Jacobian, rows)
    yield entry("descent", Implicit, rows)
