"""A server among hostile clients: is any answer lost or swapped, does memory grow?

    python benchmarks/serving/soak.py --minutes 10

Clients that check every answer run beside clients that vanish, reset, send garbage, bodies that
are too large, half bodies, and never read. It ends with 1 when an answer was lost or swapped, or
memory grew by more than ``--growth`` MB in the second half of the time: until then batches of
every size have been met, and what onnxruntime keeps for them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from checked import check
from servers import Request, onnxpack_server, request_for, running

import onnxpack
from mlp import make_pack

DISTINCT = 64
CHECKED, HOSTILE = 16, 8
"""Connections of each kind at once."""
EACH = 50
MAX_BODY = 2**20
AT_ONCE = struct.pack("ii", 1, 0)


@dataclass
class Found:
    """What a soak found."""

    answers: int = 0
    lost: int = 0
    swapped: int = 0
    hostile: dict[str, int] = field(default_factory=dict)
    megabytes: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Megabytes that were taken in the second half of the time."""
        return self.megabytes[-1] - max(self.megabytes[: len(self.megabytes) // 2 + 1])


def main() -> None:
    """Soak, and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pack", type=Path, help="of one float32 input; the MLP by default")
    parser.add_argument("--growth", type=float, default=15.0, help="MB that memory may grow")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        pack = onnxpack.open_pack(options.pack) if options.pack else make_pack(Path(folder))
        found = asyncio.run(_soak(pack, 60 * options.minutes))
    print(json.dumps({**asdict(found), "growth": found.growth}))
    if found.lost or found.swapped or found.growth > options.growth:
        sys.exit(1)


async def _soak(pack: onnxpack.Pack, seconds: float) -> Found:
    server = onnxpack_server(pack.path)
    bounds = ["--max-body", str(MAX_BODY), "--read-timeout", "2"]
    server = replace(server, command=[*server.command, *bounds])
    model = onnxpack.Model(pack)
    inputs = [_example(model, seed) for seed in range(DISTINCT)]
    expected = [next(iter(model.run({model.signature.inputs[0].name: x}).values())) for x in inputs]
    requests = []
    for x in inputs:
        request = request_for(server, model.signature.inputs[0].name, x)
        requests.append(replace(request, path=request.path.replace("{pack}", pack.name)))
    found = Found()
    with running(server) as (port, pid, _):
        end = time.monotonic() + seconds
        hostile = [_hostile(port, requests, end, found, seed) for seed in range(HOSTILE)]
        tasks = [asyncio.ensure_future(each) for each in (*hostile, _watch(pid, end, found))]
        while time.monotonic() < end:
            lost, swapped = await check(
                server, port, requests, expected, connections=CHECKED, each=EACH
            )
            found.answers += CHECKED * EACH
            found.lost += lost
            found.swapped += swapped
        await asyncio.gather(*tasks)
        found.megabytes.append(_megabytes(pid))
    return found


def _example(model: onnxpack.Model, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    spec = model.signature.inputs[0]
    shape = [dim if isinstance(dim, int) else 1 + seed % 3 for dim in spec.shape or ()]
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


async def _watch(pid: int, end: float, found: Found) -> None:
    """Take the memory once a second, and tell it once a minute."""
    while time.monotonic() < end:
        found.megabytes.append(_megabytes(pid))
        if len(found.megabytes) % 60 == 0:
            print(
                f"{len(found.megabytes) // 60} min: {found.megabytes[-1]:.1f} MB, "
                f"{found.answers} answers, {found.lost} lost, {found.swapped} swapped",
                file=sys.stderr,
            )
        await asyncio.sleep(1)


def _megabytes(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


async def _hostile(
    port: int, requests: Sequence[Request], end: float, found: Found, seed: int
) -> None:
    chance = random.Random(seed)
    while time.monotonic() < end:
        kind = chance.choice(["vanish", "reset", "garbage", "half", "oversized", "chunked", "deaf"])
        found.hostile[kind] = found.hostile.get(kind, 0) + 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _attack(port, kind, _bytes(chance.choice(requests)), chance)


def _bytes(request: Request) -> bytes:
    lines = [f"POST {request.path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(request.body)}", "", ""]).encode() + (
        request.body
    )


async def _attack(port: int, kind: str, whole: bytes, chance: random.Random) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = whole[: whole.index(b"\r\n")] + b"\r\nHost: localhost\r\n"
    sent = {
        "vanish": whole,
        "reset": whole * 3,
        "garbage": os.urandom(chance.randrange(1, 5000)),
        "half": whole[: chance.randrange(1, len(whole))],
        "oversized": head + b"Content-Length: %d\r\n\r\n" % (2 * MAX_BODY) + bytes(MAX_BODY // 2),
        "chunked": head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + bytes(2**15)) * 9,
        "deaf": whole * 20,
    }[kind]
    try:
        writer.write(sent)
        await writer.drain()
        if kind in ("oversized", "garbage"):
            await asyncio.wait_for(reader.read(100), 5)
        elif kind == "deaf":
            await asyncio.sleep(chance.random())
    finally:
        if kind == "reset":
            plain: socket.socket = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


if __name__ == "__main__":
    main()
