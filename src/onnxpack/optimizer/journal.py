"""A search that was stopped goes on where it was: what was made and found is on the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from onnxpack.errors import PackError
from onnxpack.optimizer.trial import Trial

LINES = "journal.jsonl"


class Journal:
    """A folder beside the pack that is to be written.

    Its first line is the key of the search. A folder of another key is thrown away.

    Args:
        folder: where it is.
        key: what the search is of: the pack, the data and every option.

    Attributes:
        found: the last trial of each plan, by name.
        resumed: whether there was something to go on with.

    Raises:
        PackError: the folder cannot be written.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self._folder = folder
        self._lines = folder / LINES
        content = msgspec.json.encode(key, order="sorted")
        self._key = hashlib.sha256(content).hexdigest()
        self.found: dict[str, Trial] = {}
        if not self._read():
            self.remove()
            try:
                folder.mkdir(parents=True)
                self._append(msgspec.json.encode(self._key))
            except OSError as exc:
                raise PackError(f"{folder} cannot be written: {exc.strerror}.") from exc
        self.resumed = bool(self.found)

    def record(self, trial: Trial) -> None:
        """Write a trial, so that it outlives the process."""
        self.found[trial.name] = trial
        self._append(msgspec.json.encode(trial))

    def graph(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return a graph by name; it is made if it is not there.

        Args:
            make: writes ``model.onnx`` into the folder that it is given.
        """
        made = self._folder / name
        if not made.exists():
            part = self._folder / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(made)
        return made / "model.onnx"

    def beside(self, name: str) -> Path:
        """Return the path of a file that lives as long as the journal."""
        return self._folder / name

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> bool:
        """Return whether the folder is of this search; then its trials are taken."""
        try:
            content = self._lines.read_bytes()
            # Where the process was killed, the last line may be cut off.
            whole = content[: content.rfind(b"\n") + 1]
            first, *lines = whole.splitlines() or [b""]
            if msgspec.json.decode(first, type=str) != self._key:
                return False
            trials = [msgspec.json.decode(line, type=Trial) for line in lines]
        except (OSError, msgspec.DecodeError):
            return False
        if whole != content:
            self._lines.write_bytes(whole)
        self.found = {trial.name: trial for trial in trials}
        return True

    def _append(self, line: bytes) -> None:
        with self._lines.open("ab") as stream:
            stream.write(line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
