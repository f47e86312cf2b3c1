"""A unit asks for what some machine of the cluster has, or the error says what there is."""

import pytest

from resources.compute import ComputeError, Needs
from resources.compute.share import Share, room, share_of

HEAD = {"memory": 8e9}
DECODER = {"CPU": 64.0}
H100 = {"CPU": 16.0, "GPU": 2.0, "accelerator_type:H100": 1.0}
SMALL = {"CPU": 2.0, "GPU": 1.0, "accelerator_type:GeForce-RTX-5090": 1.0}
KNOWN = ["H100", "A100"]
MODEL = Needs(device=True)


@pytest.mark.parametrize(
    ("machines", "needs", "kind", "share"),
    [
        ([HEAD, DECODER], Needs(), "", Share(4)),
        ([HEAD, DECODER], MODEL, "", Share(4)),
        ([DECODER, H100], MODEL, "", Share(4, 1)),
        ([DECODER, H100], Needs(), "H100", Share(4)),
        ([DECODER, H100, SMALL], MODEL, "H100", Share(4, 1, "H100")),
        ([DECODER, H100, SMALL], MODEL, "GeForce-RTX-5090", Share(2, 1, "GeForce-RTX-5090")),
        ([DECODER, SMALL], MODEL, "", Share(2, 1)),  # where the GPUs are, no machine has four cores
    ],
)
def test_unit_asks_for_what_a_machine_has(
    machines: list[dict[str, float]], needs: Needs, kind: str, share: Share
) -> None:
    assert share_of(machines, needs, kind, KNOWN) == share


def test_environment_says_how_much_and_of_which_kind_and_the_field_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CORES": "1.5", "GPUS": "0.5", "ACCELERATOR": "H100"}.items():
        monkeypatch.setenv(f"AROT_UNIT_{name}", value)
    machines = [DECODER, H100, SMALL]
    assert share_of(machines, MODEL, "", KNOWN) == Share(1.5, 0.5, "H100")
    assert share_of(machines, MODEL, "GeForce-RTX-5090", KNOWN) == Share(1.5, 0.5, "GeForce-RTX-5090")
    assert share_of(machines, Needs(), "", KNOWN) == Share(1.5)


@pytest.mark.parametrize(
    ("share", "units"),
    [
        (Share(4), 20),  # 16 beside the models' machine, 4 on it, none on the small one
        (Share(4, 1), 2),
        (Share(1, 0.1), 18),  # as many as the cores of the two machines with GPUs
        (Share(1, 0.5, "H100"), 4),
        (Share(4, 1, "GeForce-RTX-5090"), 1),
    ],
)
def test_there_is_room_for_what_fits_on_each_machine(share: Share, units: int) -> None:
    assert room([HEAD, DECODER, H100, SMALL], share) == units


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "H1000",
            r"Ray knows no GPU of the kind 'H1000': the cluster has GeForce-RTX-5090, H100; .*Ray's names are A100, H100$",
        ),
        (
            "A100",
            r"no machine of the Ray cluster has a GPU of the kind 'A100': the cluster has GeForce-RTX-5090, H100; ",
        ),
    ],
)
def test_kind_that_is_not_there_is_an_error_with_the_names(kind: str, said: str) -> None:
    with pytest.raises(ComputeError, match=said):
        share_of([DECODER, H100, SMALL], MODEL, kind, KNOWN)


def test_cluster_that_tells_no_kind_is_named_as_such() -> None:
    with pytest.raises(ComputeError, match="no machine of the cluster says of which kind its GPUs are; ask for none"):
        share_of([DECODER, {"CPU": 4.0, "GPU": 1.0}], MODEL, "H100", KNOWN)


@pytest.mark.parametrize(
    ("variables", "kind", "said"),
    [
        ({"CORES": "65"}, "", "no machine of the Ray cluster has 65 cores and 1 GPU for one unit"),
        ({"GPUS": "3"}, "", "has 1 core and 3 GPUs for one unit"),
        ({"CORES": "17"}, "H100", "has 17 cores and 1 GPU of the kind H100 for one unit"),
        ({"GPUS": "3"}, "H100", "3 GPUs of the kind H100 for one unit"),
    ],
)
def test_unit_that_fits_on_no_machine_is_an_error_with_their_sizes(
    variables: dict[str, str], kind: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"AROT_UNIT_{name}", value)
    sizes = (
        r"there are machines with 16 cores and 2 GPUs \(H100\); 2 cores and 1 GPU \(GeForce-RTX-5090\); "
        "64 cores and 0 GPUs; 0 cores and 0 GPUs; "
    )
    with pytest.raises(ComputeError, match=f"({said}): {sizes}"):
        share_of([HEAD, DECODER, H100, SMALL], MODEL, kind, KNOWN)


def test_cluster_of_a_head_that_only_plans_has_no_machine_for_a_unit() -> None:
    with pytest.raises(
        ComputeError, match="has 1 core and 0 GPUs for one unit: there are machines with 0 cores and 0 GPUs"
    ):
        share_of([HEAD], Needs(), "", KNOWN)


@pytest.mark.parametrize(
    ("name", "value"),
    [("CORES", "many"), ("CORES", "0"), ("CORES", "-1"), ("CORES", "nan"), ("GPUS", "-1"), ("GPUS", "inf")],
)
def test_amount_that_is_no_amount_is_an_error_of_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AROT_UNIT_{name}", value)
    with pytest.raises(ComputeError, match=rf"\$AROT_UNIT_{name}='{value}': not a number of at least"):
        share_of([H100], MODEL, "", KNOWN)


def test_more_than_one_gpu_is_a_whole_number_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_UNIT_GPUS", "1.5")
    with pytest.raises(ComputeError, match=r"\$AROT_UNIT_GPUS=1.5: a unit has a part of one GPU, or a whole number"):
        share_of([H100], MODEL, "", KNOWN)
