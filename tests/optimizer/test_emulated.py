"""What answers on a processor that is emulated; how variants fare there: see tests/runtime."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from onnxpack.errors import ProviderError, UsageError
from onnxpack.optimizer import emulated
from onnxpack.pack.model import Pack


def test_a_processor_that_is_not_known() -> None:
    with pytest.raises(UsageError, match="'zen' is not a processor that can be emulated: haswell"):
        emulated.check_emulator("zen")


def test_without_qemu_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulated, "EMULATOR", "qemu-of-nobody")
    with pytest.raises(ProviderError) as caught:
        emulated.check_emulator("haswell")
    assert caught.value.remedy == "apt-get install qemu-user"


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator that emulates nothing, so that the process itself is tested everywhere."""
    program = tmp_path / "emulator"
    program.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(emulated, "EMULATOR", str(program))


def test_it_is_told_what_answers(plain: None, digits: Pack) -> None:
    assert list(emulated.replay_on(digits.path, "haswell")) == [
        "on a haswell the proven graph answers"
    ]


def test_a_process_that_fails_is_told(plain: None, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"could not be opened on a haswell: .*does not exist"):
        list(emulated.replay_on(tmp_path / "none", "haswell"))


@pytest.mark.skipif(
    shutil.which("qemu-x86_64") is None or sys.platform != "linux",
    reason="qemu-x86_64 is not installed (apt: qemu-user)",
)
def test_on_a_real_emulator(digits: Pack) -> None:
    assert list(emulated.replay_on(digits.path, "haswell")) == [
        "on a haswell the proven graph answers"
    ]
