"""``onnxpack serve``: packs behind HTTP, proven before they answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from onnxpack.cli import say

if TYPE_CHECKING:
    from onnxpack.server.ready import Ready
    from onnxpack.server.settings import Settings

NAME = "serve"
EXAMPLE = """Example:
  onnxpack serve resnet18
  onnxpack serve models/ --host 0.0.0.0 --api-key-file keys --tls-cert cert.pem --tls-key key.pem"""

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def parse_size(text: str) -> int:
    """A number of bytes: ``1000``, ``64MB``, ``1GiB``."""
    match = re.fullmatch(r"(\d{1,15}) ?([kMG]?|[KMG]i)B?", text)
    if match is None or not int(match[1]):
        raise typer.BadParameter(f"{text!r} is no size; expected 1000, 64MB or 1GiB.")
    return int(match[1]) * UNITS[match[2]]


def _seconds(help_: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(metavar="SECONDS", min=0.1, help=help_)
    return info


def _count(metavar: str, help_: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(metavar=metavar, min=1, help=help_)
    return info


def _size(help_: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(metavar="SIZE", callback=_check_size, help=help_)
    return info


def _check_size(text: str) -> str:
    parse_size(text)
    return text


Packs = Annotated[list[Path], typer.Argument(metavar="PACK…", help="Packs, or folders of packs.")]
Port = Annotated[
    int, typer.Option(metavar="N", min=0, max=65535, help="Port to bind; 0 takes a free one.")
]
GrpcPort = Annotated[
    Optional[int],
    typer.Option(
        metavar="N", min=0, max=65535, help="Serve gRPC too, on this port; 0 takes a free one."
    ),
]
MaxBatch = Annotated[
    Optional[int],
    _count("ROWS", "Rows that run together at most; by default as many as are worth it, up to 64."),
]
Provider = Annotated[
    str, typer.Option(metavar="NAME", help="Execution provider, as in onnxpack providers.")
]
Threads = Annotated[
    Optional[int],
    _count("N", "Threads of each session; by default its share of what the quota allows."),
]
Keys = Annotated[
    Optional[Path],
    typer.Option(metavar="FILE", help="A key on each line; a request must bear one of them."),
]
Cert = Annotated[
    Optional[Path], typer.Option(metavar="PEM", help="Chain of certificates: speak TLS.")
]
Key = Annotated[Optional[Path], typer.Option(metavar="PEM", help="The certificate's key.")]


def command(
    packs: Packs,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to bind.")] = "127.0.0.1",
    port: Port = 8000,
    grpc_port: GrpcPort = None,
    provider: Provider = "auto",
    threads: Threads = None,
    sessions: Annotated[int, _count("N", "Sessions of each model, for throughput.")] = 1,
    workers: Annotated[int, _count("N", "Processes that share the port.")] = 1,
    max_batch: MaxBatch = None,
    max_queue: Annotated[int, _count("N", "Requests that may wait; more are told 429.")] = 1024,
    max_body: Annotated[str, _size("Of one request; more is told 413.")] = "64MiB",
    max_held: Annotated[str, _size("Of all requests in memory; more are told 503.")] = "512MiB",
    timeout: Annotated[float, _seconds("Until a request is given up: 504.")] = 30.0,
    read_timeout: Annotated[float, _seconds("For a client to go on sending, or taking.")] = 20.0,
    drain: Annotated[float, _seconds("For answers in flight after SIGTERM.")] = 30.0,
    no_prove: Annotated[
        bool, typer.Option("--no-prove", help="Serve without checking digests and golden data.")
    ] = False,
    api_key_file: Keys = None,
    tls_cert: Cert = None,
    tls_key: Key = None,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="A line of JSON on stderr for each request.")
    ] = False,
    triton_metrics: Annotated[
        bool, typer.Option("--triton-metrics", help="Give metrics under Triton's names too.")
    ] = False,
) -> None:
    """Serve packs over HTTP, proven before they answer.

    It speaks the Open Inference Protocol (v2), takes plain JSON, pictures and .npy at
    /v2/models/NAME/predict, and shows a page at /. It is ready when golden data was reproduced
    here; where it is not, the exit code is 1. Ctrl-C and SIGTERM end it when all is answered.
    """
    from onnxpack.server.run import serve
    from onnxpack.server.settings import Settings

    settings = Settings(
        host=host,
        port=port,
        grpc_port=grpc_port,
        provider=provider,
        threads=threads,
        sessions=sessions,
        workers=workers,
        max_batch=max_batch,
        max_queue=max_queue,
        max_body=parse_size(max_body),
        max_held=parse_size(max_held),
        timeout=timeout,
        read_timeout=read_timeout,
        drain=drain,
        prove=not no_prove,
        api_keys=_keys_of(api_key_file) if api_key_file else (),
        tls_cert=tls_cert,
        tls_key=tls_key,
        access_log=access_log,
        triton_metrics=triton_metrics,
    )
    _warn(settings)
    serve(packs, settings, announce=lambda ready: _announce(ready, settings))


def _announce(ready: Ready, settings: Settings) -> None:
    from dataclasses import replace

    from onnxpack.cli.curl import curl_line

    say.out(f"ready: {ready.address} (Ctrl-C ends it)")
    if ready.grpc:
        say.out(f"gRPC: {ready.grpc}")
    for model in ready.models:
        how = "proven" if model.proven else "not proven"
        say.out(f"  {model.name} {model.version}: {how} on {model.provider}")
    here = replace(ready, address=_from_here(ready.address))
    line = curl_line(here, keys=bool(settings.api_keys), tls=settings.tls_cert is not None)
    say.out(f"try: {line}", flush=True)


def _from_here(address: str) -> str:
    """Where every address is bound, one that this machine can ask."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _warn(settings: Settings) -> None:
    lacking = [*_lacking(settings)]
    if lacking and not _is_local(settings.host):
        say.note(f"warning: other machines reach {settings.host} without {' and '.join(lacking)}")
    if not settings.prove:
        say.note("warning: --no-prove: nothing shows that the answers are right on this machine")


def _lacking(settings: Settings) -> Iterator[str]:
    if not settings.api_keys:
        yield "a key (--api-key-file)"
    if settings.tls_cert is None:
        yield "TLS (--tls-cert)"


def _is_local(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _keys_of(path: Path) -> tuple[str, ...]:
    from onnxpack.server.keys import read_keys

    keys = read_keys(path)
    if path.stat().st_mode & 0o004:
        say.note(f"warning: every user of this machine can read {path}: chmod 600 {path}")
    return keys
