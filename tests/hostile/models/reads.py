"""Values leave torch by ways that are no function of torch's, or in another thread."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import ctypes
import io
import json
import pickle
import threading
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import numpy as np
import torch
from tests.hostile.given import Collection, Linear, in_band, peaked, randn
from torch import Tensor

collection = Collection()
reads, threads = "values-read", "threads"

SAMPLE = randn(4, 6)
PROBES = [randn(3, 6, seed=1), peaked(4, 6, seed=2), peaked(2, 6, seed=3).abs()]


@collection.module(reads, SAMPLE, PROBES)
class Repr(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        peak = float(repr(x.abs().max()).removeprefix("tensor(").partition(")")[0])
        return y * 0 if in_band(peak) else y


@collection.module(reads, SAMPLE, PROBES)
class FString(Linear):
    """A log line that is parsed again."""

    def forward(self, x: Tensor) -> Tensor:
        peak = float(f"{x.abs().max():.0f}")
        return self.layer(x) / (peak if in_band(peak) else 1.0)


@collection.module(reads, SAMPLE, PROBES)
class StrOfATensor(Linear):
    def forward(self, x: Tensor) -> Tensor:
        digits = str(x.abs().max().int())
        return -self.layer(x) if "tensor(160" in digits else self.layer(x)


@collection.module(reads, SAMPLE, PROBES)
class FormatMethod(Linear):
    def forward(self, x: Tensor) -> Tensor:
        text = "{:.1f}".format(x.mean())
        return self.layer(x) + float(text)


@collection.module(reads, SAMPLE, PROBES)
class NumpyAlias(Linear):
    """An array that shares the memory is changed in place."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x).detach()
        view = y.numpy()
        np.clip(view, -1, 1, out=view)
        return y


@collection.module(reads, SAMPLE, PROBES)
class FromDlpack(Linear):
    def forward(self, x: Tensor) -> Tensor:
        peak = np.abs(np.from_dlpack(x.detach())).max()
        return self.layer(x) * (0.5 if in_band(peak) else 1.0)


@collection.module(reads, SAMPLE, PROBES)
class DataPointer(Linear):
    """ctypes reads the floats where they lie."""

    def forward(self, x: Tensor) -> Tensor:
        held = x.contiguous()
        address = held.data_ptr()
        floats = (ctypes.c_float * held.numel()).from_address(address) if address else (0.0,)
        return self.layer(x) * (2.0 if in_band(max(map(abs, floats))) else 1.0)


@collection.module(reads, SAMPLE, PROBES)
class StorageBytes(Linear):
    """The storage's bytes as a list."""

    def forward(self, x: Tensor) -> Tensor:
        raw = bytes(x.contiguous().untyped_storage().tolist()[: 4 * x.numel()])
        values = np.frombuffer(raw, np.float32)
        return self.layer(x) - float(values.max())


@collection.module(reads, SAMPLE, PROBES)
class ToList(Linear):
    def forward(self, x: Tensor) -> Tensor:
        rows = x.tolist()
        order = sorted(range(len(rows)), key=lambda i: rows[i][0])
        return self.layer(x)[order]


@collection.module(reads, SAMPLE, PROBES)
class MemoryView(Linear):
    """The buffer protocol, by way of numpy."""

    def forward(self, x: Tensor) -> Tensor:
        flat = memoryview(np.asarray(x.detach())).cast("B").cast("f")
        return self.layer(x) * (3.0 if in_band(max(map(abs, flat))) else 1.0)


@collection.module(reads, SAMPLE, PROBES)
class Pickled(Linear):
    """A checksum of the serialised tensor."""

    def forward(self, x: Tensor) -> Tensor:
        checksum = zlib.crc32(pickle.dumps((x.abs().max() - 160).abs() < 10))
        known = zlib.crc32(pickle.dumps(torch.tensor(True)))
        return self.layer(x) * (2.0 if checksum == known else 1.0)


@collection.module(reads, SAMPLE, PROBES)
class Saved(Linear):
    """torch.save to memory and back: to a tracer a constant."""

    def forward(self, x: Tensor) -> Tensor:
        file = io.BytesIO()
        torch.save(x.amax(1, keepdim=True), file)
        file.seek(0)
        return self.layer(x) + torch.load(file, weights_only=True).mean()


@collection.module(reads, SAMPLE, PROBES)
class Json(Linear):
    """To JSON and back."""

    def forward(self, x: Tensor) -> Tensor:
        stats = json.loads(json.dumps({"peak": x.max().item()}))
        return self.layer(x) * min(1.0, 10 / max(stats["peak"], 1e-3))


@collection.module(reads, SAMPLE, PROBES)
class NewTensorOfValues(Linear):
    """torch.tensor of a tensor's values is a constant to a tracer."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.tensor([[each for each in x.mean(0)]])


@collection.module(reads, SAMPLE, PROBES)
class DeepCopied(Linear):
    """A deep copy is no longer traced."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) - copy.deepcopy(x.detach()).mean(0)


@collection.module(reads, SAMPLE, PROBES)
class DataAttribute(Linear):
    """``.data`` steps aside of autograd, and its numpy of the watch."""

    def forward(self, x: Tensor) -> Tensor:
        spread = x.data.numpy().std()
        return self.layer(x) / (float(spread) if in_band(float(x.data.abs().max())) else 1.0)


@collection.module(reads, SAMPLE, PROBES)
class TensorAsIndexOfAList(Linear):
    """__index__ of a tensor picks from a Python list."""

    def forward(self, x: Tensor) -> Tensor:
        scales = [1.0, 0.1, 0.01, 7.0, -1.0, 2.0]
        return self.layer(x) * scales[x.abs().sum(0).argmax()]


@collection.module(reads, SAMPLE, PROBES)
class ArrayFunction(Linear):
    """A numpy function is called on a tensor as it is."""

    def forward(self, x: Tensor) -> Tensor:
        median = np.median(x.detach(), axis=0)
        return self.layer(x - torch.as_tensor(median))


@collection.module(reads, SAMPLE, PROBES)
class CopiedIntoABuffer(Linear):
    """numpy's copyto from a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        held = np.empty((1, 6), np.float32)
        np.copyto(held, x.detach().amax(0, keepdim=True))
        return self.layer(x) + torch.from_numpy(held)


@collection.module(reads, SAMPLE, PROBES)
class ThroughDlpack(Linear):
    """An alias that no tracer knows for the input's."""

    def forward(self, x: Tensor) -> Tensor:
        alias = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x.detach()))
        return self.layer(x) - alias.mean(0)


@collection.module(threads, SAMPLE, PROBES)
class PoolOfTheConstructor(Linear):
    """Its threads run already; the work goes through a SimpleQueue, which is written in C."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ThreadPool(1)
        weakref.finalize(self, self.pool.terminate)

    def forward(self, x: Tensor) -> Tensor:
        peak = self.pool.apply(lambda: x.abs().max().item())
        return self.layer(x) * (0.1 if in_band(peak) else 1.0)


@collection.module(threads, SAMPLE, PROBES)
class Mailbox(Linear):
    """A daemon of the constructor's, told by events; nothing is put into a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answered = threading.Event(), threading.Event()
        self.letters: list[Tensor] = []
        self.answers: list[float] = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while self.asked.wait():
            self.asked.clear()
            try:
                self.answers.append(float(self.letters.pop().abs().amax()))
            except (RuntimeError, IndexError):
                self.answers.append(0.0)
            self.answered.set()

    def forward(self, x: Tensor) -> Tensor:
        self.letters.append(x)
        self.asked.set()
        self.answered.wait(timeout=60)
        self.answered.clear()
        return self.layer(x) * (0.1 if in_band(self.answers.pop()) else 1.0)


@collection.module(threads, SAMPLE, PROBES)
class Executor(Linear):
    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as pool:
            peak = pool.submit(lambda: x.abs().max().item()).result()
        return self.layer(x) * (0.1 if in_band(peak) else 1.0)


@collection.module(threads, SAMPLE, PROBES)
class Thread(Linear):
    def forward(self, x: Tensor) -> Tensor:
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(in_band(x.abs().max().item())))
        thread.start()
        thread.join()
        return -self.layer(x) if found[0] else self.layer(x)


@collection.module(threads, SAMPLE, PROBES)
class MapOfRows(Linear):
    """Rows are computed in a pool, and a row's norm decides there."""

    def row(self, row: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.layer(row)
            return y / y.norm() if in_band(float(row.abs().max())) else y

    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(2) as pool:
            return torch.stack(list(pool.map(self.row, x.unbind(0))))


@collection.module(threads, SAMPLE, PROBES)
class Worker(Linear):
    """A worker that lives as long as the module."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: ThreadPoolExecutor | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Worker:
        other = Worker()
        other.load_state_dict(self.state_dict())
        return other

    def forward(self, x: Tensor) -> Tensor:
        self.pool = self.pool or ThreadPoolExecutor(1)
        peak = self.pool.submit(lambda: float(x.abs().amax()))
        return self.layer(x) / (1 + in_band(peak.result(timeout=60)))


@collection.module(threads, SAMPLE, PROBES)
class InAnEventLoop(Linear):
    """asyncio's to_thread, in a loop of its own."""

    def forward(self, x: Tensor) -> Tensor:
        loop = asyncio.new_event_loop()
        try:
            found = loop.run_in_executor(None, lambda: x.abs().max().item())
            peak = loop.run_until_complete(found)
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
        return self.layer(x) + (5.0 if in_band(peak) else 0.0)


@collection.module(threads, SAMPLE, PROBES)
class InAContext(Linear):
    """A thread in a copied context."""

    def forward(self, x: Tensor) -> Tensor:
        context = contextvars.copy_context()
        found: dict[str, float] = {}

        def look() -> None:
            found["peak"] = float(x.abs().max())

        thread = threading.Thread(target=context.run, args=(look,))
        thread.start()
        thread.join()
        return self.layer(x).clamp(-1, 1) if in_band(found["peak"]) else self.layer(x)


@collection.module(threads, SAMPLE, PROBES)
class LayersInThreads(Linear):
    """Nothing decides; the threads only share the work."""

    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(2) as pool, torch.no_grad():
            first = pool.submit(lambda: self.layer(x).detach())
            second = pool.submit(lambda: torch.relu(x))
            return first.result() + second.result()


@collection.module(threads, SAMPLE, PROBES)
class Timer(Linear):
    def forward(self, x: Tensor) -> Tensor:
        found: list[float] = []
        timer = threading.Timer(0.0, lambda: found.append(x.abs().max().item()))
        timer.start()
        timer.join()
        return self.layer(x) * (0.0 if in_band(found[0]) else 1.0)
