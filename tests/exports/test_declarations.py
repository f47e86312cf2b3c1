"""Declaring an export: what is wrong is told with file and line, before anything runs."""

import re
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.declarations import DeclarationError, load_declarations
from arot_assets.errors import ProjectError
from arot_assets.exports.assets import export_assets
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.subsets.assets import model_key

TEXT = """type: arot_assets.components.HubDataset

attributes:
  name: photos
  subset: clean
  repo: my-team/photos
  license: cc-by-4.0
"""
SUBSETS = ("clean", "clean_photos")


def write(folder: Path, text: str = TEXT, name: str = "photos") -> Path:
    path = folder / "exports" / name / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_a_right_declaration_is_found_by_its_name(tmp_path: Path) -> None:
    write(tmp_path)
    declared = load_declarations(tmp_path)
    declared.check_subsets(SUBSETS, {})
    export = declared.get(HubDatasetDeclaration, "photos")
    assert export.private and export.layout == "parquet" and export.on_missing == "stop" and export.split == "train"
    assert export.address.uri == "hf://datasets/my-team/photos"
    with pytest.raises(DeclarationError, match=r"no export 'fotos'. Did you mean 'photos'\?"):
        declared.get(HubDatasetDeclaration, "fotos")


def test_an_export_of_a_model_with_a_fault_is_left_out_with_that_fault(tmp_path: Path) -> None:
    write(tmp_path)
    declared = load_declarations(tmp_path)
    fault = ProjectError("unknown var 'x'", Path("models/clean.sql"), 2)
    declared.check_subsets(("clean_photos",), {"clean": fault})
    assert declared.problems() == [str(fault)]
    with pytest.raises(DeclarationError, match=r"models/clean.sql:2: unknown var 'x'"):
        declared.get(HubDatasetDeclaration, "photos")


@pytest.mark.parametrize(
    ("line", "instead", "place", "message"),
    [
        ("subset: clean", "subset: claen", 5, r"no SQL model 'claen' is tagged `subset`. Did you mean 'clean'\?"),
        ("repo: my-team/photos", "repo: photos", 6, "write owner/name"),
        ("repo: my-team/photos", "repo: my-team/photos@v2", 6, "a branch goes into the field `revision`"),
        ("license: cc-by-4.0", "license: cc-by-40", 7, "the Hub does not know this licence; did you mean cc-by-4.0"),
        ("license: cc-by-4.0", "licence: mit", 7, r"unknown key 'licence'. Did you mean 'license'\?"),
        ("license: cc-by-4.0", "layout: parquet", 3, "'license' is missing: identifier of the licence"),
        ("license: cc-by-4.0", "license: mit\n  layout: zip", 8, "'layout': Input should be 'parquet' or 'folder'"),
        (
            "license: cc-by-4.0",
            f"license: mit\n  revision: {'0' * 39}a",
            8,
            "name a branch; a commit cannot be changed",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_remedy(
    tmp_path: Path, line: str, instead: str, place: int, message: str
) -> None:
    path = write(tmp_path, TEXT.replace(line, instead))
    declared = load_declarations(tmp_path)
    declared.check_subsets(SUBSETS, {})
    (told,) = declared.problems()
    assert told.startswith(f"{path}:{place}: ") and re.search(message, told), told
    with pytest.raises(DeclarationError, match=message):
        declared.get(HubDatasetDeclaration, "photos")


def test_two_exports_to_one_branch_would_overwrite_each_other(tmp_path: Path) -> None:
    write(tmp_path)
    path = write(tmp_path, TEXT.replace("name: photos", "name: more"), "qmore")
    declared = load_declarations(tmp_path)
    (told,) = declared.problems()
    assert told.startswith(f"{path}:6: ") and "export 'photos' also publishes to" in told
    assert set(declared.of(HubDatasetDeclaration)) == {"photos"}
    path.write_text(TEXT.replace("name: photos", "name: more") + "  revision: v2\n")
    assert set(load_declarations(tmp_path).of(HubDatasetDeclaration)) == {"photos", "more"}


def test_the_asset_follows_its_subset_and_starts_by_itself_never() -> None:
    declaration = HubDatasetDeclaration(name="photos", subset="clean", repo="my-team/photos", license="mit")
    (asset,) = export_assets(declaration)
    spec = asset.get_asset_spec()
    assert asset.key == dg.AssetKey(["exports", "photos"])
    assert [d.asset_key for d in spec.deps] == [model_key("clean")]
    assert spec.automation_condition is None and spec.kinds == {"huggingface"}
    assert "my-team/photos" in (spec.description or "")
