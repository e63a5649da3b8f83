"""Store the progress of a search on the disk, so that a stopped search can continue."""

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

    The first line of its file is the key of the search. A folder with another key is deleted.

    Args:
        folder: path of the folder.
        key: everything that determines the search: the pack, the data and all options.

    Attributes:
        found: the last trial of each plan, by name.
        resumed: whether an earlier search is continued.

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
        """Write a trial to the disk, so that it outlives the process."""
        self.found[trial.name] = trial
        self._append(msgspec.json.encode(trial))

    def graph(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the graph of a name; it is made if it does not exist.

        Args:
            name: name of the graph's folder.
            make: function that writes ``model.onnx`` into a given folder.
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
        """Return the path of a file that exists as long as the journal."""
        return self._folder / name

    def remove(self) -> None:
        """Remove the journal's folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> bool:
        """Read the trials if the folder belongs to this search, and return whether it does."""
        try:
            content = self._lines.read_bytes()
            # If the process was killed, the last line can be incomplete.
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
