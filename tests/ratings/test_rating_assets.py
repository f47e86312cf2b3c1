"""Ratings as assets and steps: what runs, what is current, and what a declaration with a fault says."""

from pathlib import Path

import dagster as dg
import pytest

from arot_assets.declarations import load_declarations
from arot_assets.declarations.kinds import kind_of
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.steps import rating_steps, ratings_state
from arot_assets.steps import Look
from resources.dagster import dagster_resources
from resources.defaults import Resources
from resources.tables import RatingsRef
from tests.ratings.conftest import Rated


def materialize(resources: Resources, declaration: RatingsDeclaration, *keys: list[str]) -> dg.ExecuteInProcessResult:
    definitions = kind_of(type(declaration)).definitions(declaration)
    assets = [a for a in definitions.assets or () if isinstance(a, dg.AssetsDefinition)]
    return dg.materialize(
        [*assets, *(definitions.asset_checks or ())], resources=dagster_resources(resources), raise_on_error=False,
        selection=[dg.AssetKey(key) for key in keys] if keys else None,
    )  # fmt: skip


def state(resources: Resources, declaration: RatingsDeclaration) -> bool:
    with Look(resources, sources=True) as look:
        return ratings_state(look, declaration).current


def test_ratings_are_current_until_a_source_or_the_samples_change(rated: Rated) -> None:
    resources = rated.dataset.resources
    text = f"image,rater,score\n{rated.images[0]},ann,4\nnowhere.jpg,ann,4\n"
    declaration = rated.csv(text)
    assert not state(resources, declaration)
    result = materialize(resources, declaration, ["ratings", "q"])
    assert result.success
    assert all(
        check.passed
        for check in result.get_asset_check_evaluations()
        if check.asset_key == dg.AssetKey(["ratings", "q"])
    )
    (event,) = result.asset_materializations_for_node("ratings__q")
    assert "no sample of 'd' has the path 'nowhere.jpg'" in str(event.metadata["does not count, by reason"].value)
    assert state(resources, declaration)
    assert not state(resources, rated.csv(text + f"{rated.images[1]},ann,2\n"))
    rated.build(rated.csv(text))
    assert state(resources, declaration)
    (rated.dataset.source / "nowhere.jpg").write_bytes(Path(rated.paths[0]).read_bytes() + b"\0")
    rated.dataset.run()
    assert not state(resources, declaration)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("name: q\n  dataset: e\n", "defs.yaml:4: no dataset 'e' is declared. Known: d."),
        ("name: tags\n  dataset: d\n", "'tags' is a schema of its own"),
        (
            "name: q\n  dataset: d\n  sources:\n  - name: a\n    fil: x\n",
            "defs.yaml:7: unknown key 'fil'. Did you mean 'file'?",
        ),
        (
            "name: q\n  dataset: d\n  sources:\n  - file: x.csv\n",
            "defs.yaml:6: 'name' is missing: of the source, in the events",
        ),
    ],
)
def test_a_fault_names_the_line(tmp_path: Path, attributes: str, said: str) -> None:
    for folder, text in (
        ("d", "type: arot_assets.components.ImageDataset\nattributes: {name: d, source: x}\n"),
        ("r", f"type: arot_assets.components.Ratings\nattributes:\n  {attributes}"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "defs.yaml").write_text(text)
    assert [p for p in load_declarations(tmp_path).problems() if said in p]


def test_scale_raters_and_checks_are_materialized_with_pictures(rated: Rated) -> None:
    resources = rated.dataset.resources
    scores = {"ann": (1, 2, 3, 4, 5, 4), "bob": (1, 2, 3, 5, 5, 4), "cid": (2, 2, 3, 4, 5, 5)}
    lines = [
        f"{image},{rater},{score}"
        for rater, given in scores.items()
        for image, score in zip(rated.images, given, strict=False)
    ]
    declaration = rated.csv(
        "image,rater,score\n" + "\n".join(lines) + "\n", floors={"alpha": 0.6, "self_consistency": 0.5}
    )
    result = materialize(resources, declaration)
    assert result.success
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["floor_of_alpha"].passed
    assert not checks["floor_of_self_consistency"].passed
    assert (
        checks["floor_of_self_consistency"].description == "self_consistency is not defined: there are too few ratings"
    )
    found = {
        event.asset_key.path[-1]: event
        for event in result.asset_materializations_for_node("q_trust")
        if event.asset_key
    }
    assert "data:image/png;base64," in str(found["scale"].metadata["picture"].value)
    assert "ann: 6" not in str(found["raters"].metadata)  # drawn, not written
    assert found["raters"].metadata["matched"].value == "100.0%"
    assert rated.dataset.sql("select count(*), min(raters), min(part) from q.scale") == [(6, 3, 0)]
    assert rated.dataset.sql("select rater from q.raters order by rater") == [("ann",), ("bob",), ("cid",)]
    with Look(resources) as look:
        assert [look.of(step).current for step in rating_steps(declaration)] == [True] * len(rating_steps(declaration))
        stricter = declaration.model_copy(update={"level": "interval"})
        assert [look.of(step).current for step in rating_steps(stricter)][:1] == [True]
    with Look(resources) as look:
        assert not look.of(rating_steps(stricter)[1]).current


def test_a_split_is_materialized_checked_and_current(rated: Rated) -> None:
    resources = rated.dataset.resources
    lines = "".join(f"{image},ann,{k % 5 + 1}\n" for k, image in enumerate(rated.images))
    declaration = rated.csv(f"image,rater,score\n{lines}", split={"near_duplicate_distance": None, "test": 0.3})
    result = materialize(resources, declaration)
    assert result.success
    assert {c.check_name: c.passed for c in result.get_asset_check_evaluations()}["no_leak"]
    assert dict(rated.dataset.sql("select split, count(*) from q.split group by 1"))["test"] in (3, 4, 5)
    with Look(resources) as look:
        assert [look.of(step).current for step in rating_steps(declaration)] == [True] * 3


def test_an_event_without_its_row_fails_the_check_by_name(rated: Rated) -> None:
    resources = rated.dataset.resources
    declaration = rated.csv(f"image,rater,score\n{rated.images[0]},ann,4\nnowhere.jpg,ann,nan\n")
    rows = rated.build(declaration)
    ref = RatingsRef("q")
    resources.tables.write(resources.tables.read(ref).slice(1), ref, footer=resources.tables.footer(ref))
    definitions = kind_of(RatingsDeclaration).definitions(declaration)
    result = dg.materialize(
        [*(definitions.assets or ()), *(definitions.asset_checks or ())],  # type: ignore[list-item]
        resources=dagster_resources(resources), raise_on_error=False,
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(["ratings", "q"]), "conservation")),
    )  # fmt: skip
    (found,) = result.get_asset_check_evaluations()
    assert not found.passed
    assert found.metadata["events without one row"].value == 1
    assert found.metadata["for example"].value in {row["event_id"] for row in rows}
