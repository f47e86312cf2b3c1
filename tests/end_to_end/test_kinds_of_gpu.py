"""Work with a model goes to the kind of GPU that was asked for, and what no machine offers is an error, not a wait."""

import os
from collections.abc import Iterator

import pytest

from resources.compute import Compute, ComputeError, Needs, compute_of
from resources.machine import gpu_share

pytestmark = pytest.mark.slow  # a cluster is several processes for each of its nodes
MODEL = Needs(device=True)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Three nodes on this machine that say they have GPUs: two of the kind A100 and one H100, beside a head without. Nothing
    computes on them: what is tested is who gets which unit."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    made = Cluster(initialize_head=True, head_node_args={**node, "num_gpus": 0, "include_dashboard": False})
    for kind, gpus in {"A100": 2, "H100": 1}.items():
        made.add_node(**node, num_gpus=gpus, resources={f"accelerator_type:{kind}": 1})
    yield made.address
    import ray

    ray.shutdown()
    made.shutdown()


def place(unit: int) -> tuple[str, float, str]:
    """The kind of the machine that works on a unit, the GPUs that it gives, and which GPU a model sees."""
    import ray

    me = ray.get_runtime_context()
    (node,) = (one for one in ray.nodes() if one["NodeID"] == me.get_node_id())
    kinds = [name.partition(":")[2] for name in node["Resources"] if name.startswith("accelerator_type:")]
    given = me.get_assigned_resources().get("GPU", 0.0)
    return "".join(kinds), given, os.environ.get("CUDA_VISIBLE_DEVICES", "")


def share_of_memory(unit: int) -> float:
    """Of its GPU's memory what the machine that works on a unit may fill."""
    return gpu_share()


def places(compute: Compute, needs: Needs, units: int = 4) -> set[tuple[str, float, str]]:
    made = dict(compute.map(place, range(units), needs))
    assert sorted(made) == [*range(units)]
    return set(made.values())


def test_model_gets_the_kind_of_gpu_that_is_asked_for(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_UNIT_ACCELERATOR", "H100")
    assert places(compute_of("ray", address), MODEL) == {("H100", 1.0, "0")}
    assert places(compute_of("ray", address, "A100"), MODEL) <= {("A100", 1.0, "0"), ("A100", 1.0, "1")}


def test_parts_of_a_gpu_are_of_that_kind_too(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_UNIT_GPUS", "0.5")
    monkeypatch.setenv("AROT_UNIT_CORES", "0.5")
    compute = compute_of("ray", address, "H100")
    assert places(compute, MODEL) == {("H100", 0.5, "0")}
    assert dict(compute.map(share_of_memory, [1], MODEL)) == {1: 0.5}, "no process takes what its neighbour has"


def test_work_without_a_model_takes_no_gpu_and_asks_for_no_kind(address: str) -> None:
    assert {gpus for _, gpus, _ in places(compute_of("ray", address, "T4"), Needs())} == {0.0}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("H1000", "Ray knows no GPU of the kind 'H1000': the cluster has A100, H100; .* Ray's names are .*, L4, "),
        ("T4", "no machine of the Ray cluster has a GPU of the kind 'T4': the cluster has A100, H100; "),
    ],
)
def test_kind_that_no_node_offers_is_an_error_with_the_names(address: str, kind: str, said: str) -> None:
    with pytest.raises(ComputeError, match=said):
        list(compute_of("ray", address, kind).map(place, [1], MODEL))


@pytest.mark.parametrize(
    ("variable", "amount", "kind", "said"),
    [
        (
            "GPUS",
            "3",
            "",
            "no machine of the Ray cluster has 1 core and 3 GPUs for one unit: there are machines with 1 core ",
        ),
        ("GPUS", "2", "H100", "has 1 core and 2 GPUs of the kind H100 for one unit"),
        ("CORES", "64", "", "has 64 cores and 1 GPU for one unit"),
    ],
)
def test_more_than_any_node_has_is_an_error_with_what_there_is(
    address: str, variable: str, amount: str, kind: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AROT_UNIT_{variable}", amount)
    with pytest.raises(ComputeError, match=said):
        list(compute_of("ray", address, kind).map(place, [1], MODEL))
