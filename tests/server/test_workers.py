"""Several processes on one port: ready together, ended together, replaced, and none left behind."""

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from onnxpack.server import workers as module
from onnxpack.server.settings import Settings

PROGRAM = Path(sys.executable).with_name("onnxpack")


def workers_of(served):
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return [int(pid) for pid in children.read_text().split() if is_worker(pid)]


def is_worker(pid):
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:  # it has ended
        return False


def gone(pid):
    """Whether a process has ended, waiting for it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor) as process:
        import select

        return bool(select.select([process], [], [], 60)[0])


@pytest.fixture
def two(packs, serve):
    with serve(packs / "mlp", "--workers", 2, "--access-log") as served:
        yield served


def test_both_are_ready_and_both_answer(two, infer, packs, truth):
    assert len(workers_of(two)) == 2
    x = np.ones((1, 64), np.float32)
    wanted = truth(packs / "mlp", input=x)["output"]
    busy = set()
    while len(busy) < 2:  # the system chooses who answers
        np.testing.assert_allclose(infer(two, "mlp", input=x), wanted, rtol=1e-3, atol=1e-5)
        counted = two.ask("GET", "/metrics")[2].decode().splitlines()
        if any(line.startswith("onnxpack_requests_total{") for line in counted):
            busy |= {pid for pid in workers_of(two) if seconds_of(pid) > 0}


def seconds_of(pid):
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_them(two, number):
    pids = workers_of(two)
    two.process.send_signal(number)
    assert two.process.wait(60) == 0
    assert all(gone(pid) for pid in pids)


def test_ctrl_c_in_a_terminal_reaches_each_once(two):
    """A terminal sends it to the whole group of processes."""
    pids = workers_of(two)
    groups = {os.getpgid(pid) for pid in pids}
    assert len(groups) == 2
    assert os.getpgid(two.process.pid) not in groups


def counted(served, name):
    """A metric without labels, or of the MLP."""
    lines = served.ask("GET", "/metrics")[2].decode().splitlines()
    found = [line for line in lines if line.partition("{")[0].partition(" ")[0] == name]
    return sum(float(line.split()[-1]) for line in found)


def test_one_that_dies_is_replaced_and_nothing_is_uncounted(packs, serve, infer):
    """It serves without a log of each request, which would fill the pipe that nobody reads."""
    with serve(packs / "mlp", "--workers", 2) as two:
        x = np.ones((1, 64), np.float32)
        for _ in range(20):
            infer(two, "mlp", input=x)
        pids = workers_of(two)
        os.kill(pids[0], signal.SIGKILL)
        assert gone(pids[0])
        while len(workers_of(two)) < 2 or counted(two, "onnxpack_worker_restarts_total") < 1:
            assert infer(two, "mlp", input=x).shape == (1, 10)  # the other one answers
        assert pids[1] in workers_of(two)
        asked = [counted(two, "onnxpack_requests_total") for _ in range(20)]
        assert min(asked) == max(asked) >= 20
        assert counted(two, "onnxpack_requests_in_flight") == 0
        assert two.stop() == 0
        told = two.process.stderr.read().splitlines()
        assert told == [
            (
                f"worker process {pids[0]} ended unexpectedly (signal 9: Killed). "
                "It is started again in 0.5 s."
            )
        ]


def test_one_that_dies_before_all_are_ready_ends_the_server(packs):
    command = [PROGRAM, "serve", packs / "mlp", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        served = SimpleNamespace(process=process)
        while not (pids := workers_of(served)):
            assert process.poll() is None
        os.kill(pids[0], signal.SIGKILL)
        assert process.wait(60) == 1
        told = process.stderr.read()
    assert told.startswith(f"error: worker process {pids[0]} ended unexpectedly (signal 9: Killed)")
    assert "--workers 1" in told
    assert "Traceback" not in told


class Ended:
    """A worker process that ended at once."""

    pid, exitcode = 7, 1

    def join(self):
        pass


def test_the_pauses_double_while_a_worker_ends_at_once(monkeypatch, caplog):
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    workers = module._Workers((), Settings(), None, lambda: None, 1)
    worker = module._Worker(Ended(), None, now[0])
    pauses = []
    for lived in [0] * 8 + [module.STEADY_SECONDS + 1]:
        ours, theirs = Pipe()
        theirs.close()
        worker.line, worker.started = ours, now[0]
        now[0] += lived
        workers._hear(worker)
        pauses.append(worker.due - now[0])
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 0.5]
    assert "worker process 7 ended unexpectedly (exit code 1). It is started" in caplog.text


def test_none_outlives_its_parent(two):
    pids = workers_of(two)
    two.process.kill()
    assert all(gone(pid) for pid in pids)


def test_what_keeps_a_worker_from_serving_is_told(packs, onnxpack_serve):
    done = onnxpack_serve(packs / "mlp", "--workers", 2, "--provider", "cuda")
    assert done.returncode == 3
    assert "cuda" in done.stderr.lower()
    assert "Traceback" not in done.stderr
