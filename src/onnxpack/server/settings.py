"""How a server is to run; every bound has a default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server.

    Attributes:
        host: address to bind; the default is this machine alone.
        port: of HTTP; 0 takes a free one.
        grpc_port: of gRPC; 0 takes a free one, None leaves gRPC out.
        provider: the execution provider, as :class:`onnxpack.Model` takes it.
        variant: of each pack, as :class:`onnxpack.Model` takes it.
        threads: of each session; None takes the share of this process and its sessions.
        sessions: how many sessions run side by side, for throughput.
        workers: processes that share the port.
        max_batch: rows that run together at most, and that one request may have; None measures
            at warm-up how many are worth it, up to 64.
        max_queue: requests that may wait for a session; more are told to come back (429).
        max_body: bytes of a request's body.
        max_held: bytes of all bodies and large answers that are in memory at once (503).
        timeout: seconds until a request is given up (504).
        read_timeout: seconds for a client to send its headers, and again each part of its body.
        drain: seconds that answers in flight have to finish after SIGTERM.
        prove: whether digests are recomputed and golden data is replayed before the server is
            ready.
        api_keys: where there are any, a request must bear one.
        tls_cert: PEM file of the certificate chain.
        tls_key: PEM file of its key.
        access_log: whether each request is logged as a line of JSON.
        triton_metrics: whether metrics are given under Triton's names too.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    provider: str = "auto"
    variant: str = "auto"
    threads: int | None = None
    sessions: int = 1
    workers: int = 1
    max_batch: int | None = None
    max_queue: int = 1024
    max_body: int = 64 * 2**20
    max_held: int = 512 * 2**20
    timeout: float = 30.0
    read_timeout: float = 20.0
    drain: float = 30.0
    prove: bool = True
    api_keys: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    access_log: bool = False
    triton_metrics: bool = False
