"""Clients that check every answer: distinct inputs, many connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from servers import Request, Server, read_answer

from onnxpack.signature import Array


async def check(
    server: Server, port: int, requests: Sequence[Request], expected: Sequence[Array], *,
    connections: int, each: int,
) -> tuple[int, int]:  # fmt: skip
    """Send ``each`` requests on every connection; how many failed, how many were wrong."""
    found = await asyncio.gather(
        *(_client(server, port, requests, expected, first, each) for first in range(connections))
    )
    return sum(failed for failed, _ in found), sum(wrong for _, wrong in found)


async def _client(
    server: Server, port: int, requests: Sequence[Request], expected: Sequence[Array],
    first: int, each: int,
) -> tuple[int, int]:  # fmt: skip
    failed = wrong = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    for turn in range(each):
        index = (first + turn) % len(requests)
        try:
            status, headers, body = await _ask(reader, writer, requests[index])
        except (OSError, asyncio.IncompleteReadError, ValueError):
            failed += each - turn
            break
        if status != 200:
            failed += 1
        elif not np.allclose(
            read_answer(server, headers, body), expected[index].ravel(), rtol=1e-3, atol=1e-4
        ):
            wrong += 1
    writer.close()
    return failed, wrong


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
) -> tuple[int, dict[str, str], bytes]:
    lines = [f"POST {request.path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(request.body)}", "", ""]
    writer.write("\r\n".join(lines).encode() + request.body)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return int(head[0].split()[1]), headers, await _chunks(reader)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = bytearray()
    while size := int((await reader.readline()).strip(), 16):
        parts += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return bytes(parts)
