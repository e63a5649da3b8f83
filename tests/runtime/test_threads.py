from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxpack.runtime.threads import CpuBudget, read_budget, read_quota

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
OTHER_V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc(cgroup="", mountinfo="")

    def proc(self, *, cgroup: str, mountinfo: str) -> Tree:
        self.write("proc/self/cgroup", cgroup)
        return self.write("proc/self/mountinfo", mountinfo)

    def write(self, path: str, content: str) -> Tree:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        return self

    def v1(self, folder: str, quota: str, period: str = "100000") -> Tree:
        base = f"sys/fs/cgroup/cpu,cpuacct/{folder}"
        self.write(f"{base}/cpu.cfs_quota_us", f"{quota}\n")
        return self.write(f"{base}/cpu.cfs_period_us", f"{period}\n")

    def v2(self, folder: str, content: str) -> Tree:
        return self.write(f"sys/fs/cgroup/{folder}/cpu.max", f"{content}\n")

    @property
    def quota(self) -> float | None:
        return read_quota(self.root)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("affinity", "quota", "threads"),
    [
        (8, None, 8),
        (8, 2.0, 2),
        (8, 2.9, 2),
        (8, 0.25, 1),
        (2, 16.0, 2),
        (1, None, 1),
        (4, 4.0, 4),
    ],
)
def test_threads_follow_the_scarcer(affinity, quota, threads):
    assert CpuBudget(online=64, affinity=affinity, quota=quota).threads == threads


def test_nothing_to_read_is_no_quota(tmp_path):
    assert read_quota(tmp_path) is None


def test_v2_own_group(tree):
    tree.proc(cgroup="0::/user/app\n", mountinfo=V2).v2("user/app", "150000 100000")
    assert tree.quota == 1.5


def test_v2_without_limit(tree):
    tree.proc(cgroup="0::/app\n", mountinfo=V2).v2("app", "max 100000")
    assert tree.quota is None


def test_v2_smallest_on_the_way_up_wins(tree):
    tree.proc(cgroup="0::/pod/app/inner\n", mountinfo=V2)
    tree.v2("pod/app/inner", "max 100000").v2("pod/app", "400000 100000").v2("pod", "200000 100000")
    assert tree.quota == 2.0


def test_v2_in_a_namespace_reads_the_mount(tree):
    tree.proc(cgroup="0::/\n", mountinfo=V2).v2("", "300000 100000")
    assert tree.quota == 3.0


def test_v2_docker_shows_the_hosts_path_but_mounts_its_own_group(tree):
    mount = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    tree.proc(cgroup="0::/docker/abc\n", mountinfo=mount).v2("", "50000 100000")
    assert tree.quota == 0.5


def test_v2_path_that_is_not_under_the_mount_falls_back_to_it(tree):
    mount = "30 23 0:26 /kube/pod /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    tree.proc(cgroup="0::/elsewhere/x\n", mountinfo=mount).v2("", "250000 100000")
    assert tree.quota == 2.5


def test_v2_path_above_the_namespace(tree):
    tree.proc(cgroup="0::/../other\n", mountinfo=V2).v2("", "250000 100000")
    (tree.root / "sys/fs/other").mkdir()
    (tree.root / "sys/fs/other/cpu.max").write_text("1000 100000\n")
    assert tree.quota == 2.5


def test_v1_own_group(tree):
    tree.proc(cgroup="5:memory:/m\n4:cpu,cpuacct:/app\n", mountinfo=OTHER_V1 + V1)
    assert tree.v1("app", "350000").quota == 3.5


@pytest.mark.parametrize(("quota", "period"), [("-1", "100000"), ("0", "100000"), ("5", "0")])
def test_v1_without_limit(tree, quota, period):
    tree.proc(cgroup="4:cpu,cpuacct:/app\n", mountinfo=V1)
    assert tree.v1("app", quota, period).quota is None


def test_v1_docker_without_a_visible_path(tree):
    tree.proc(cgroup="4:cpuacct,cpu:/docker/abc\n", mountinfo=V1)
    assert tree.v1("", "200000").quota == 2.0


def test_v1_docker_mount_root(tree):
    mount = V1.replace("0:29 / ", "0:29 /docker/abc ")
    tree.proc(cgroup="4:cpu,cpuacct:/docker/abc/worker\n", mountinfo=mount)
    assert tree.v1("", "200000").v1("worker", "100000").quota == 1.0


def test_cpuset_is_not_cpu(tree):
    mount = V1.replace("rw,cpu,cpuacct", "rw,cpuset")
    tree.proc(cgroup="4:cpuset:/app\n", mountinfo=mount)
    assert tree.v1("app", "100000").quota is None


def test_hybrid_reads_both_versions(tree):
    unified = V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
    tree.proc(cgroup="4:cpu,cpuacct:/a\n0::/b\n", mountinfo=V1 + unified)
    tree.v1("a", "300000").write("sys/fs/cgroup/unified/b/cpu.max", "200000 100000\n")
    assert tree.quota == 2.0


def test_a_mount_of_another_group_is_left_alone(tree):
    foreign = "99 23 0:26 /victim /mnt/victim ro - cgroup2 cgroup rw\n"
    tree.proc(cgroup="0::/app\n", mountinfo=V2 + foreign).v2("app", "400000 100000")
    tree.write("mnt/victim/cpu.max", "100000 100000\n")
    assert tree.quota == 4.0


def test_mount_point_with_a_space(tree):
    mount = V2.replace("/sys/fs/cgroup ", r"/sys/fs/c\040g ")
    tree.proc(cgroup="0::/\n", mountinfo=mount).write("sys/fs/c g/cpu.max", "100000 50000\n")
    assert tree.quota == 2.0


@pytest.mark.parametrize("content", ["", "max", "1", "a b", "1 2 3", "-5 100000", "1e5 100000"])
def test_nonsense_limits_nothing(tree, content):
    tree.proc(cgroup="0::/\n", mountinfo=V2).v2("", content)
    assert tree.quota is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(cgroup=st.text(), mountinfo=st.text(), content=st.text())
def test_any_text_is_survived(tree, cgroup, mountinfo, content):
    encode = str.encode
    for prefix in ("", "0::/", "1:cpu:/"):
        (tree.root / "proc/self/cgroup").write_bytes(encode(prefix + cgroup, errors="replace"))
        text = V2 + V1 + mountinfo + "\n1 1 0:1 " + mountinfo + " - cgroup2 c rw"
        (tree.root / "proc/self/mountinfo").write_bytes(encode(text, errors="replace"))
        (tree.root / "sys/fs/cgroup").mkdir(parents=True, exist_ok=True)
        (tree.root / "sys/fs/cgroup/cpu.max").write_bytes(encode(content, errors="replace"))
        assert tree.quota is None or tree.quota > 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    quota=st.integers(1, 10**12),
    period=st.integers(1, 10**6),
    depth=st.lists(st.sampled_from("abc"), max_size=4),
)
def test_any_quota_is_found_at_any_depth(tree, quota, period, depth):
    path = "/".join(depth)
    tree.proc(cgroup=f"0::/{path}\n", mountinfo=V2).v2(path, f"{quota} {period}")
    assert tree.quota == quota / period
    tree.v2(path, "max 100000")


def test_affinity_of_this_process():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from onnxpack.runtime.threads import read_budget; print(read_budget().affinity)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "1"
    assert read_budget().affinity == len(os.sched_getaffinity(0))


@pytest.fixture
def limited() -> Iterator[Path | None]:
    """A real control group with a quota of 1.5; None where this user may not make one."""
    name = f"onnxpack-test-{os.getpid()}"
    for parent, file, quota in (
        ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "150000"),
        ("/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", "150000"),
        ("/sys/fs/cgroup", "cpu.max", "150000 100000"),
    ):
        group = Path(parent) / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / file).write_text(quota)
            yield group
            return
        except OSError:
            continue
        finally:
            group.rmdir()
    yield None


def test_a_real_control_group(limited):
    code = (
        "import os, sys; group = sys.argv[1]\n"
        "if group: open(group + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "from onnxpack.runtime.threads import read_budget; print(read_budget().quota)"
    )
    command = [sys.executable, "-c", code, str(limited or "")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ("1.5" if limited else str(read_quota()))
