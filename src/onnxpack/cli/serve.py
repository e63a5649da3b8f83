"""``onnxpack serve``: serve packs over HTTP, after proving them."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command

if TYPE_CHECKING:
    from onnxpack.server.ready import Ready
    from onnxpack.server.settings import Settings

NAME = "serve"
EXAMPLE = """Example:
  onnxpack serve resnet18
  onnxpack serve models/ --host 0.0.0.0 --api-key-file keys --tls-cert cert.pem --tls-key key.pem"""

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def parse_size(text: str) -> int:
    """Parse a number of bytes: ``1000``, ``64MB``, ``1GiB``."""
    match = re.fullmatch(r"(\d{1,15}) ?([kMG]?|[KMG]i)B?", text)
    if match is None or not int(match[1]):
        raise click.BadParameter(
            f"{text!r} is not a size; expected a value such as 1000, 64MB or 1GiB."
        )
    return int(match[1]) * UNITS[match[2]]


def _count(
    name: str, metavar: str, help_: str, *, default: int | None = None
) -> parameters.Parameter:
    return click.option(name, type=parameters.COUNT, metavar=metavar, default=default, help=help_)


def _size(name: str, help_: str, *, default: str) -> parameters.Parameter:
    return click.option(name, type=parse_size, metavar="SIZE", default=default, help=help_)


def _seconds(name: str, help_: str, *, default: float, least: float = 0.1) -> parameters.Parameter:
    return click.option(
        name, type=parameters.FiniteRange(min=least), metavar="SECONDS", default=default, help=help_
    )


def _file(name: str, metavar: str, help_: str) -> parameters.Parameter:
    return click.option(name, type=parameters.PATH, metavar=metavar, help=help_)


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.packs("Packs, or folders of packs.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="Address to bind.")
@click.option(
    "--port",
    type=parameters.PORT,
    metavar="N",
    default=8000,
    help="Port to bind; 0 picks a free one.",
)
@click.option(
    "--grpc-port",
    type=parameters.PORT,
    metavar="N",
    help="Also serve gRPC, on this port; 0 picks a free one.",
)
@parameters.provider
@parameters.variant
@_count("--threads", "N", "Threads per session; by default its share of the CPU quota.")
@_count("--sessions", "N", "Sessions per model, for throughput.", default=1)
@_count("--workers", "N", "Worker processes that share the port.", default=1)
@_count(
    "--max-batch",
    "ROWS",
    "Most rows in one batch; by default the number that pays off, up to 64.",
)
@_count(
    "--max-queue",
    "N",
    "Most requests that wait in the queue; further ones get 429.",
    default=1024,
)
@_size("--max-body", "Largest body of one request; larger ones get 413.", default="64MiB")
@_size(
    "--max-held",
    "Memory for all requests together; beyond it requests get 503.",
    default="512MiB",
)
@_seconds("--timeout", "Longest time for one request; after it the answer is 504.", default=30.0)
@_seconds("--read-timeout", "Longest pause of a client while it sends or receives.", default=20.0)
@_seconds(
    "--drain-delay",
    "Time after SIGTERM to still take connections, while load balancers learn of it.",
    default=0.0,
    least=0.0,
)
@_seconds("--drain", "Time to finish running requests after SIGTERM.", default=30.0)
@click.option(
    "--digest",
    "digests",
    metavar="SHA256",
    multiple=True,
    help="Digest of a pack that is expected, as onnxpack inspect prints it; other packs are "
    "refused; repeat it for each pack.",
)
@parameters.flag(
    "--no-prove",
    "Serve without replaying golden data, and with other files than the graph altered.",
)
@_file(
    "--api-key-file",
    "FILE",
    "File with one API key per line; a request must include one of them.",
)
@_file("--tls-cert", "PEM", "Certificate chain; turns TLS on.")
@_file("--tls-key", "PEM", "Private key of the certificate.")
@click.option(
    "--cors-origin",
    "cors_origins",
    metavar="ORIGIN",
    multiple=True,
    help="Origin whose web pages may use the server, such as https://example.org; repeat it for "
    "each.",
)
@parameters.flag("--access-log", "Log a line of JSON to stderr for each request.")
@parameters.flag("--triton-metrics", "Also provide metrics under Triton's names.")
def command(
    packs: tuple[Path, ...],
    no_prove: bool,
    api_key_file: Path | None,
    **settings: Any,
) -> None:
    """Serve packs over HTTP; each is proven before it answers.

    The server speaks the Open Inference Protocol (v2). It takes plain JSON, pictures and .npy files
    at /v2/models/NAME/predict, and shows a page at /. It is ready when the golden data was
    reproduced here; if it is not, the exit code is 1. After Ctrl-C or SIGTERM, running requests are
    answered before the server ends.
    """
    # Without a handler, process 1 of a container ignores the signal, and the imports take time.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from onnxpack.server.run import serve  # first: it names the extra that is missing
    from onnxpack.server.process import leave_if_opening  # isort: skip
    from onnxpack.server.settings import Settings

    chosen = Settings(
        prove=not no_prove, api_keys=_keys_of(api_key_file) if api_key_file else (), **settings
    )
    _warn(chosen)
    serve(packs, chosen, announce=lambda ready: _announce(ready, chosen))
    leave_if_opening()


def _announce(ready: Ready, settings: Settings) -> None:
    from dataclasses import replace

    from onnxpack.cli.curl import curl_line

    say.out(f"ready: {ready.address} (Ctrl-C stops it)")
    if ready.grpc:
        say.out(f"gRPC: {ready.grpc}")
    for model in ready.models:
        variant = f", variant {model.variant}" if model.variant else ""
        say.out(f"  {model.name} {model.version}: {model.words} on {model.provider}{variant}")
        for note in model.notes:
            say.note(f"note: {model.name} {model.version}: {note}")
    here = replace(ready, address=_from_here(ready.address))
    line = curl_line(here, keys=bool(settings.api_keys), tls=settings.tls_cert is not None)
    say.out(f"try: {line}", flush=True)


def _from_here(address: str) -> str:
    """Return an address that this machine can reach, even if every address is bound."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _warn(settings: Settings) -> None:
    from onnxpack.server.http.origins import is_loopback

    lacking = [*_lacking(settings)]
    if lacking and not is_loopback(settings.host):
        say.note(f"warning: other machines reach {settings.host} without {' and '.join(lacking)}")
    if not settings.prove:
        say.note("warning: --no-prove: nothing shows that the answers are right on this machine")


def _lacking(settings: Settings) -> Iterator[str]:
    if not settings.api_keys:
        yield "a key (--api-key-file)"
    if settings.tls_cert is None:
        yield "TLS (--tls-cert)"


def _keys_of(path: Path) -> tuple[str, ...]:
    from onnxpack.server.api_keys import read_keys

    keys = read_keys(path)
    if path.stat().st_mode & 0o004:
        say.note(f"warning: every user of this machine can read {path}: chmod 600 {path}")
    return keys
