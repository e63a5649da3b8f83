"""What neither values nor sizes show is found by one run, at the user's line."""

from __future__ import annotations

import contextlib
import cProfile
import inspect
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.jit import is_tracing as asked_by_another_name

from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.watch.unseen import Unseen, watch_unseen

Forward = Callable[[Tensor], Tensor]
SAMPLE = torch.ones(3, 3)


class Swallows:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> bool:
        return True


class Passes(Swallows):
    def __exit__(self, *_: object) -> bool:
        return False


@contextlib.contextmanager
def handled() -> Iterator[None]:
    try:
        yield
    except RuntimeError:
        return


def caught(x: Tensor) -> Tensor:
    try:
        return torch.linalg.cholesky(x)
    except RuntimeError:
        return x


def caught_further_out(x: Tensor) -> Tensor:
    def inner() -> Tensor:
        return x.exp()

    try:
        return inner()
    except (RuntimeError, ValueError):
        return x


def caught_by_a_loop(x: Tensor) -> Tensor:
    for shift in (0.0, 1.0):
        try:
            return torch.linalg.cholesky(x + shift)
        except RuntimeError:
            continue
    return x


def left_in_finally(x: Tensor) -> Tensor:
    try:
        y = x.exp()
    finally:
        return x  # noqa: B012
    return y


def suppressed(x: Tensor) -> Tensor:
    with contextlib.suppress(RuntimeError):
        x = torch.linalg.cholesky(x)
    return x


def in_a_manager(x: Tensor) -> Tensor:
    with Swallows():
        return x.exp()


def in_a_generator(x: Tensor) -> Tensor:
    with handled():
        return x.exp()
    return x


def raised_again(x: Tensor) -> Tensor:
    try:
        return x.exp()
    except RuntimeError as exc:
        raise ValueError from exc


def no_tensor_inside(x: Tensor) -> Tensor:
    try:
        factor = {"a": 1}["b"]
    except KeyError:
        factor = 2
    return x * factor


def under_known_managers(x: Tensor) -> Tensor:
    with torch.no_grad(), contextlib.nullcontext(), Passes():
        return x.exp()


LOCK = threading.Lock()


def under_a_lock(x: Tensor) -> Tensor:
    with LOCK, threading.RLock():
        return x.exp()


def started(x: Tensor) -> Tensor:
    thread = threading.Thread(target=x.sum)
    thread.start()
    thread.join()
    return x


def submitted(x: Tensor) -> Tensor:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(x.exp).result()


@pytest.mark.parametrize(
    ("forward", "where"),
    [
        (caught, "caught"),
        (caught_further_out, "caught"),
        (caught_by_a_loop, "caught"),
        (left_in_finally, "caught"),
        (suppressed, "caught"),
        (in_a_manager, "caught"),
        (in_a_generator, "caught"),
        (lambda x: x if torch.jit.is_tracing() else -x, "asked"),
        (lambda x: x if asked_by_another_name() else -x, "asked"),
        (lambda x: x if torch.compiler.is_compiling() else -x, "asked"),
        (lambda x: x if torch.compiler.is_exporting() else -x, "asked"),
        (lambda x: x if torch.onnx.is_in_onnx_export() else -x, "asked"),
        (lambda x: x if torch._C._get_tracing_state() else -x, "asked"),
        (lambda x: x if torch._C._len_torch_dispatch_stack() else -x, "asked"),
        (lambda x: x if len(inspect.stack()) > 99 else -x, "asked"),
        (lambda x: x if sys._getframe(1).f_lineno < 9 else -x, "asked"),
        (lambda x: x if "export" in str(traceback.extract_stack()) else -x, "asked"),
        (lambda x: x if torch.jit.is_scripting() else -x, "scripting"),
        (lambda x: x if "nan" in repr(x) else -x, "read"),
        (lambda x: x if "nan" in str(x) else -x, "read"),
        (lambda x: x if f"{x.sum()}" == "9" else -x, "read"),
        (lambda x: x * float(np.from_dlpack(x)[0, 0]), "read"),
        (lambda x: x * float(x.untyped_storage()[0]), "read"),
        (lambda x: x * float(x.data_ptr() % 2), "read"),
        (started, "elsewhere"),
        (submitted, "elsewhere"),
    ],
)
def test_it_is_found(forward: Forward, where: str) -> None:
    found = run(forward)
    places = getattr(found, where)
    assert places
    assert all(place.file == __file__ for place in places)
    assert found.cause() is not None or where == "scripting"


@pytest.mark.parametrize(
    "forward",
    [
        torch.exp,
        raised_again,
        no_tensor_inside,
        under_known_managers,
        under_a_lock,
        nn.Linear(3, 3),
        nn.LSTM(3, 3),
        nn.MultiheadAttention(3, 1),
        lambda x: x.reshape(x.shape[0], -1),
    ],
)
def test_nothing_is_found_where_nothing_is(forward: Any) -> None:
    given = (SAMPLE,) * 3 if isinstance(forward, nn.MultiheadAttention) else (SAMPLE,)
    with watch_unseen() as found, torch.no_grad():
        FlatModule(Calls(forward), given, {}).answer(*given)
    assert found.cause() is None


def test_the_process_is_as_before() -> None:
    import sys

    def profile(*_: object) -> None:
        return None

    sys.setprofile(profile)
    try:
        with contextlib.suppress(ZeroDivisionError), watch_unseen():
            raise ZeroDivisionError
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)


class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Tensor) -> Any:
        answer = self.function(*given)
        return answer[0] if isinstance(answer, tuple) else answer


def run(forward: Forward) -> Unseen:
    with watch_unseen() as found:
        FlatModule(Calls(forward), (SAMPLE,), {}).answer(SAMPLE)
    return found


def test_a_profiler_goes_on_afterwards() -> None:
    with cProfile.Profile() as profiler:
        with watch_unseen():
            torch.ones(2).sum()
        math.gcd(4, 6)
    names = {entry.code for entry in profiler.getstats()}
    assert any("gcd" in str(name) for name in names)
