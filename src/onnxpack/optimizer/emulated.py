"""What would answer on another processor: the pack is opened on one that is emulated.

QEMU's user mode runs this very Python on another instruction set
(https://www.qemu.org/docs/master/user/main.html). It is slow, so it tells what is right there, and
nothing of how fast it is.
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
"""Processors without VNNI, by what ``--replay-on`` takes."""
LIMIT = 900
"""Seconds that an emulated process may take."""
CODE = """
import json, sys
from onnxpack.runtime.model import Model
model = Model(sys.argv[1], provider="cpu", threads=1)
print(json.dumps([model.variant, model.notes]))
"""


def check_emulator(name: str) -> None:
    """Refuse a processor that cannot be emulated here, before the search.

    Raises:
        UsageError: it is not one that is known.
        ProviderError: QEMU is not installed.
    """
    if name not in MODELS:
        raise UsageError(f"{name!r} is no processor that is emulated: {', '.join(MODELS)}.")
    if shutil.which(EMULATOR) is None:
        raise ProviderError(
            f"{EMULATOR}, which emulates a {name}, is not installed.",
            remedy="apt-get install qemu-user",
        )


def replay_on(pack: Path, name: str) -> Iterator[str]:
    """Tell what answers on another processor: a line, and one for each variant that does not.

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
