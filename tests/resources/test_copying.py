"""Several objects are copied to one place each, and one that fails keeps none of the others."""

from pathlib import Path

import pytest

from resources.storage import Storage
from resources.storage.copying import CopyTargetError, copy_all, copy_targets


@pytest.fixture
def objects(tmp_path: Path) -> list[str]:
    """Three files of two folders."""
    paths = [tmp_path / "a" / "x.jpg", tmp_path / "a" / "y.jpg", tmp_path / "b" / "z.jpg"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    return [str(path) for path in paths]


def test_objects_go_below_a_folder_under_their_own_names(objects: list[str], tmp_path: Path) -> None:
    storage, seen = Storage(), []
    places = copy_targets(storage, objects, f"{tmp_path}/new/")
    assert list(places) == objects
    assert copy_all(storage, places, on_progress=seen.append) == []
    assert sorted(p.read_text() for p in (tmp_path / "new").iterdir()) == ["x.jpg", "y.jpg", "z.jpg"]
    assert seen == [1, 1, 1]
    assert copy_targets(storage, objects[:1], str(tmp_path / "other.jpg")) == {objects[0]: str(tmp_path / "other.jpg")}


def test_what_fails_is_told_and_the_rest_is_in_place(objects: list[str], tmp_path: Path) -> None:
    gone = str(tmp_path / "a" / "gone.jpg")
    lost = copy_all(Storage(), copy_targets(Storage(), [*objects, gone], f"{tmp_path}/new/"), threads=2)
    assert [one.uri for one in lost] == [gone] and "not_found" in lost[0].reason
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_targets_that_cannot_be_meant_are_refused_before_anything_is_copied(objects: list[str], tmp_path: Path) -> None:
    (tmp_path / "b" / "x.jpg").write_text("another")
    for sources, target, message in (
        (objects, str(tmp_path / "file"), "several objects need a folder, .*: end it with /"),
        ([str(tmp_path / "a")], f"{tmp_path}/new/", "is a folder; copy it with -r"),
        ([objects[0], str(tmp_path / "b" / "x.jpg")], f"{tmp_path}/new/", "would both become .*/new/x.jpg"),
    ):
        with pytest.raises(CopyTargetError, match=message):
            copy_targets(Storage(), sources, target)
    assert not (tmp_path / "new").exists()
