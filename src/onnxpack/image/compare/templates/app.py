"""Serve a program that PyTorch saved over HTTP, for comparison with an ONNX image.

A POST takes JSON rows, or an object with rows for each input, as ``onnxpack serve`` does. The
response is ``{"outputs": {name: rows}}``. Every GET is answered once the model is loaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import orjson
import torch
import uvicorn

HERE = Path(__file__).parent
SIGNATURE = orjson.loads((HERE / "signature.json").read_bytes())


def load() -> Callable[..., Any]:
    """Load the program, from TorchScript or from ``torch.export``."""
    if (HERE / "program.pt").exists():
        script: Callable[..., Any] = torch.jit.load(HERE / "program.pt")  # type: ignore[no-untyped-call]
        return script
    return torch.export.load(HERE / "program.pt2").module()


MODEL = load()


def predict(body: bytes) -> bytes:
    """Return the outputs for a JSON body as a JSON body."""
    given = orjson.loads(body)
    if not isinstance(given, dict):
        given = {SIGNATURE["inputs"][0]["name"]: given}
    tensors = [
        torch.tensor(given[spec["name"]], dtype=getattr(torch, spec["dtype"]))
        for spec in SIGNATURE["inputs"]
    ]
    with torch.inference_mode():
        found = MODEL(*tensors)
    rows = [tensor.tolist() for tensor in found]
    return orjson.dumps({"outputs": dict(zip(SIGNATURE["outputs"], rows, strict=True))})


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    """Answer a request; the ASGI application."""
    if scope["type"] != "http":
        return
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = predict(bytes(body)) if scope["method"] == "POST" else b"{}"
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    uvicorn.run(app, host="0.0.0.0", port=port, lifespan="off", log_level="warning")  # noqa: S104
