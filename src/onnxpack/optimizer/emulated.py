"""Find which graph would answer on another processor, by emulating the processor.

QEMU's user mode runs this Python with another instruction set
(https://www.qemu.org/docs/master/user/main.html). It is slow, so it shows which graph is used
there, but not how fast the graph is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from onnxpack.errors import ProviderError, UsageError

EMULATOR = "qemu-x86_64"
MODELS = {"haswell": "Haswell", "skylake": "Skylake-Client", "nehalem": "Nehalem"}
"""QEMU's names of processors without VNNI, by the values of ``--replay-on``."""
LIMIT = 900
"""Seconds after which an emulated process is stopped."""
CODE = """
import json, sys
from onnxpack.runtime.model import Model
model = Model(sys.argv[1], provider="cpu", threads=1)
print(json.dumps([model.variant, model.notes]))
"""


def check_emulator(name: str) -> None:
    """Check, before the search, that a processor can be emulated here.

    Raises:
        UsageError: the processor is unknown.
        ProviderError: QEMU is not installed.
    """
    if name not in MODELS:
        raise UsageError(f"{name!r} is not a processor that can be emulated: {', '.join(MODELS)}.")
    if shutil.which(EMULATOR) is None:
        raise ProviderError(
            f"{EMULATOR}, which emulates a {name}, is not installed.",
            remedy="apt-get install qemu-user",
        )


def replay_on(pack: Path, name: str) -> Iterator[str]:
    """Yield lines that say which graph answers on another processor, and which variants do not.

    Raises:
        ProviderError: the emulated process failed.
    """
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [EMULATOR, "-cpu", MODELS[name], sys.executable, "-c", CODE, str(pack)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT,
            env=os.environ | one,
        )
        variant, notes = msgspec.json.decode(done.stdout, type=tuple[str | None, list[str]])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as exc:
        said = getattr(exc, "stderr", "") or str(exc)
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        raise ProviderError(f"the pack could not be opened on a {name}: {last[0]}") from exc
    yield f"on a {name} {variant or 'the proven graph'} answers"
    yield from notes
