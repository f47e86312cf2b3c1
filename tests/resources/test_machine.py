"""What a process may use, in described machines: plain files below a folder in place of ``/proc`` and ``/sys``."""

from pathlib import Path

import pytest

from arot_assets.media.image.medium import BYTES_PER_PIXEL
from arot_assets.metrics import memory
from resources import parallel
from resources.machine import Machine
from resources.warehouse.connection import default_memory_limit

GB = 1_000_000_000


def machine(root: Path, files: dict[str, str], affinity: int = 64, physical: int = 256 * GB) -> Machine:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return Machine(affinity, physical, root)


def version_2(group: str, **limits: str) -> dict[str, str]:
    """A process in a group of version 2, and its files (``memory_max`` is ``memory.max``)."""
    folder = f"sys/fs/cgroup/{group}".rstrip("/")
    return {"proc/self/cgroup": f"0::/{group}"} | {f"{folder}/{k.replace('_', '.', 1)}": v for k, v in limits.items()}


def test_a_large_machine_without_limits_is_used_whole(tmp_path: Path) -> None:
    large = machine(tmp_path, version_2("user.slice/job", memory_max="max", memory_high="max", cpu_max="max 100000"))
    assert (large.cores, large.memory) == (64, 256 * GB)


def test_a_system_without_control_groups_is_used_whole(tmp_path: Path) -> None:
    assert (machine(tmp_path, {}, 8, 16 * GB).cores, machine(tmp_path, {}, 8, 16 * GB).memory) == (8, 16 * GB)


def test_affinity_bounds_the_cores(tmp_path: Path) -> None:
    assert machine(tmp_path, version_2("", cpu_max="800000 100000"), affinity=3).cores == 3


@pytest.mark.parametrize(("quota", "cores"), [("50000", 1), ("100000", 1), ("150000", 2), ("400000", 4)])
def test_a_quota_bounds_the_cores_in_both_versions(quota: str, cores: int, tmp_path: Path) -> None:
    assert machine(tmp_path / "2", version_2("pod", cpu_max=f"{quota} 100000")).cores == cores
    group = "sys/fs/cgroup/cpu,cpuacct/docker/1f"
    files = {f"{group}/cpu.cfs_quota_us": quota, f"{group}/cpu.cfs_period_us": "100000"}
    assert machine(tmp_path / "1", files | {"proc/self/cgroup": "4:cpu,cpuacct:/docker/1f"}).cores == cores


def test_the_limit_of_a_group_above_counts(tmp_path: Path) -> None:
    files = version_2("pod/container", memory_max="max", cpu_max="max 100000")
    files |= {"sys/fs/cgroup/pod/memory.max": str(4 * GB), "sys/fs/cgroup/pod/cpu.max": "200000 100000"}
    inside = machine(tmp_path, files)
    assert (inside.cores, inside.memory) == (2, 4 * GB)


def test_a_process_is_slowed_down_at_the_lower_limit(tmp_path: Path) -> None:
    files = version_2("job", memory_max=str(8 * GB), memory_high=str(6 * GB))
    assert machine(tmp_path, files).memory == 6 * GB


def test_a_container_that_sees_only_its_own_group_finds_its_limits(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:memory:/docker/1f\n3:cpu:/docker/1f\n0::/",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GB),
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    container = machine(tmp_path, files)
    assert (container.cores, container.memory) == (2, 2 * GB)


def test_version_1_without_limits_is_the_machine(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:memory:/\n3:cpu:/",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert (machine(tmp_path, files).cores, machine(tmp_path, files).memory) == (64, 256 * GB)


def test_a_group_outside_the_namespace_is_passed_over(tmp_path: Path) -> None:
    files = version_2("", memory_max=str(3 * GB)) | {"proc/self/cgroup": "0::/../../other"}
    assert machine(tmp_path, files).memory == 3 * GB


def test_this_machine_is_read() -> None:
    here = Machine()
    assert 1 <= here.cores <= here.affinity
    assert 100_000_000 < here.memory <= here.physical


@pytest.mark.parametrize(
    ("size", "pixels", "queries"),
    [(1, 0.125, "250MB"), (2, 0.625, "500MB"), (24, 11.625, "3000MB"), (256, 127.625, "32000MB")],
)
def test_pixels_and_a_query_fit_into_small_machines_and_use_large_ones(
    size: int, pixels: float, queries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = Machine(8, size * GB, Path("/nowhere"))
    monkeypatch.setattr(memory, "Machine", lambda: described)
    for name in ("AROT_MEMORY_MB", "AROT_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert memory.memory_limit() == pixels * GB
    assert 2 * memory.memory_limit() + memory.DAGSTER <= size * GB, "two runs of `arot ui` at a time"
    assert default_memory_limit(described) == queries


@pytest.mark.parametrize(("cores", "decoding", "fetching"), [(1, 1, 32), (2, 2, 32), (64, 64, 128)])
def test_threads_fill_a_large_machine(
    cores: int, decoding: int, fetching: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "Machine", lambda: Machine(cores, 256 * GB, Path("/nowhere")))
    for name in ("AROT_THREADS", "AROT_FETCH_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert (parallel.default_threads(), parallel.fetching_threads(far=True)) == (decoding, fetching)
    assert parallel.fetching_threads(far=False) is None, "local files are read by the threads that decode"


def test_large_pictures_are_decoded_in_all_threads_of_a_large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "Machine", lambda: Machine(64, 256 * GB, Path("/nowhere")))
    for name in ("AROT_MEMORY_MB", "AROT_THREADS"):
        monkeypatch.delenv(name, raising=False)
    photos = 64 * parallel.WINDOW_PER_THREAD  # all that a pass has in flight
    assert memory.MemoryBudget().size > photos * BYTES_PER_PIXEL * 24_000_000


def test_units_that_share_the_cores_of_a_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "Machine", lambda: Machine(64, 256 * GB, Path("/nowhere")))
    monkeypatch.delenv("AROT_MEMORY_MB", raising=False)
    monkeypatch.setenv("AROT_THREADS", "4")
    assert memory.memory_limit() == 127.625 * GB / 16
    monkeypatch.setenv("AROT_THREADS", "200")
    assert memory.memory_limit() == 127.625 * GB
