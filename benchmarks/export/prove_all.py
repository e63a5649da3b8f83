"""Every framework's models, exported and asked what the proof did not ask.

    python benchmarks/export/prove_all.py -o OUT [FAMILY ...]

A case ends proven (and right in every check), refused (with a cause), wrong (proven, and another
answer to a check) or failed (a bug). A family is run in a process of its own, which is begun anew
after a case that kills it or takes too long. Cases that OUT holds already are not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from case import WITHOUT
from table import FAMILIES, write_table

from measure import machine

SECONDS = 600
"""For one case."""


def main() -> None:
    """Run what is missing, and write ``results.json`` and ``table.md``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", default=list(FAMILIES))
    parser.add_argument("--anew", action="store_true", help="run what has been run as well")
    parser.add_argument(
        WITHOUT, action="store_true", help="export as if PyTorch had no TorchScript exporter"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "results.json"
    known = json.loads(file.read_text())["rows"] if file.exists() else []
    if options.anew:
        known = [row for row in known if row["family"] not in options.families]
    for family in options.families:
        done = {row["name"] for row in known if row["family"] == family}
        for row in _run(family, done, (WITHOUT,) if options.without_torchscript else ()):
            known.append(row)
            print(f"{family} {row['name']}: {row['outcome']} {row['reason'][:100]}", flush=True)
            file.write_text(json.dumps({"machine": machine(), "rows": known}, indent=1) + "\n")
    (options.output / "table.md").write_text(write_table(known))


def _run(family: str, done: set[str], options: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each case that is not done; a process that ends early costs its case."""
    waiting = [name for name in _worker(family, "--list") if name not in done]
    while waiting:
        for line in _worker(family, *options, *waiting):
            row = {"family": family, **json.loads(line)}
            waiting.remove(row["name"])
            yield row
        if waiting:
            reason = f"the process ended, or took more than {SECONDS} s"
            name = waiting.pop(0)
            yield {"family": family, "name": name, "outcome": "failed", "reason": reason}


def _worker(family: str, *arguments: str) -> Iterator[str]:
    """The lines that a worker prints; it is killed when the next one is too long in coming."""
    command: Sequence[str] = [sys.executable, str(Path(__file__).with_name("worker.py")), family]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("there is no pipe")
        while True:
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            line = process.stdout.readline()
            timer.cancel()
            if not line:
                return
            if line.startswith(("{", "= ")):
                yield line.removeprefix("= ").strip()


if __name__ == "__main__":
    main()
