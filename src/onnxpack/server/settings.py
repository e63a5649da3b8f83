"""The settings of a server; every limit has a default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server.

    Attributes:
        host: address to listen on (default: this machine only).
        port: port of HTTP; 0 takes a free one.
        grpc_port: port of gRPC; 0 takes a free one, None disables gRPC.
        provider: execution provider, as in :class:`onnxpack.Model`.
        variant: variant of each pack, as in :class:`onnxpack.Model`.
        threads: threads of each session; None divides this process's share among its sessions.
        sessions: number of sessions that run side by side, for throughput.
        workers: number of processes that share the port.
        max_batch: most rows that run together, and most rows of one request; None measures at
            warm-up how many are worth it, up to 64.
        max_queue: most requests that may wait for a session; others get status 429.
        max_body: most bytes of a request's body.
        max_held: most bytes of all bodies and large answers in memory at once; others get 503.
        timeout: seconds until a request is given up, with status 504.
        read_timeout: seconds for a client to send its headers, and again each part of its body.
        drain_delay: seconds after SIGTERM in which the server still takes new connections, and
            is not ready, so that load balancers notice.
        drain: seconds that open requests then have to be answered.
        prove: whether golden data is replayed, and every file's digest recomputed, before the
            server is ready. The graph's digest is always recomputed.
        digests: digests of the packs that are expected, ``sha256:…``; if there are any, a pack with
            another is refused.
        api_keys: accepted API keys; if there are any, a request must include one of them.
        tls_cert: PEM file of the certificate chain.
        tls_key: PEM file of the certificate's key.
        cors_origins: origins whose pages may use the server, ``https://example.org`` or ``*``.
        access_log: whether each request is logged as a line of JSON.
        triton_metrics: whether metrics are also exposed under Triton's names.
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
    drain_delay: float = 0.0
    drain: float = 30.0
    prove: bool = True
    digests: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    cors_origins: tuple[str, ...] = ()
    access_log: bool = False
    triton_metrics: bool = False
