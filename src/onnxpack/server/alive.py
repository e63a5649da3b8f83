"""Exit with 0 if this container's server is ready, else 1.

Run it as ``python -m onnxpack.server.alive``. It asks where the server listens, and as it listens:
options after the image's name may change port, address and TLS. The running command line is the
only place that states them without a file, and the container may have nowhere to write one.
"""

from __future__ import annotations

import ipaddress
import sys
from argparse import Namespace
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from onnxpack.server.arguments import parse

SECONDS = 2.0
PROC = Path("/proc")


def main(proc: Path = PROC) -> int:
    """Return 0 if every server of this container answers that it is ready, else 1."""
    found = [parse(argv) for argv in command_lines(proc)]
    faults = [fault for each in found if (fault := fault_of(each))]
    if not found:
        faults = [f"no process in {proc} runs python -m onnxpack.server"]
    for fault in faults:
        print(f"not ready: {fault}", file=sys.stderr)
    return 1 if faults else 0


def command_lines(proc: Path) -> Iterator[list[str]]:
    """Yield the arguments of each server in this container.

    The server need not be process 1: ``--init`` puts another process there, and with ``--pid
    host`` process 1 is the machine's. Then only processes with this one's files count.
    """
    here = _namespace(proc / "self")
    for process in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            line = (process / "cmdline").read_bytes().removesuffix(b"\0").split(b"\0")
        except OSError:  # it has ended, or it is another user's
            continue
        argv = [word.decode(errors="surrogateescape") for word in line]
        for at in range(len(argv) - 1):
            if argv[at : at + 2] == ["-m", "onnxpack.server"]:
                if process.name == "1" or _namespace(process) == here:
                    yield argv[at + 2 :]
                break


def _namespace(process: Path) -> str:
    """Return the name of the mount namespace of a process; empty if it cannot be read."""
    try:
        return str((process / "ns/mnt").readlink())
    except OSError:
        return ""


def fault_of(server: Namespace) -> str:
    """Return why a server is not ready, or an empty string."""
    if server.port == 0:
        return "--port 0 lets the server choose its port, which nothing here states"
    host = _reachable(server.host)
    connection = _connection(host, server.port, tls=server.tls_cert is not None)
    try:
        connection.request("GET", "/v2/health/ready")
        status = connection.getresponse().status
    except (OSError, HTTPException) as exc:
        return f"{host} port {server.port}: {exc or type(exc).__name__}"
    finally:
        connection.close()
    return "" if status == 200 else f"{host} port {server.port} answers {status}"


def _reachable(host: str) -> str:
    """Return the address to ask for one to listen on; all addresses include this machine's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "127.0.0.1"
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def _connection(host: str, port: int, *, tls: bool) -> HTTPConnection:
    if not tls:
        return HTTPConnection(host, port, timeout=SECONDS)
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate names the server for its clients, not for the address that is asked here. The
    # request holds no secret, and its answer is one bit.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=SECONDS, context=context)


if __name__ == "__main__":
    sys.exit(main())
