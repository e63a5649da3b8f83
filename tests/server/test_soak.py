"""Ten seconds of the soak: no answer lost, none swapped, memory flat."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "serving" / "soak.py"


@pytest.mark.parametrize("model", ["mlp", "slow"])
def test_hostile_clients_cost_no_other_his_answer(packs, model):
    done = subprocess.run(
        [sys.executable, SOAK, "--minutes", "0.17", "--pack", packs / model],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["lost"], found["swapped"]) == (0, 0)
    assert found["answers"] > 0
    assert set(found["hostile"]) >= {"vanish", "reset", "garbage", "half", "oversized", "chunked"}
