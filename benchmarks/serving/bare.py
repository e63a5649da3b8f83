"""The limit: onnxruntime alone in a process. ``bare.py MODEL SECONDS SIZE…`` prints JSON."""

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def main() -> None:
    """Run a model of one float32 input as often as the time allows."""
    path, seconds = sys.argv[1], float(sys.argv[2])
    x = np.random.default_rng(0).standard_normal([int(size) for size in sys.argv[3:]])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: x.astype(np.float32)}
    session.run(None, feeds)
    calls, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        session.run(None, feeds)
        calls += 1
    rate = calls / (time.perf_counter() - begun)
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"rate": rate, "rss_mb": int(resident[1]) * 1024 / 1e6 if resident else 0}))


if __name__ == "__main__":
    main()
