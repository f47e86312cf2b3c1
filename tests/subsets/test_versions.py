"""Two versions of a subset are compared: who came in, who left, and which predicate made the difference."""

import pytest

from arot_assets.errors import ProjectError
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_model
from arot_assets.subsets.versions import KEPT, SubsetDifference, compare, find_version, versioned
from resources.tables import ModelRef, Tables
from resources.warehouse import Warehouse
from tests.subsets.conftest import ProjectWriter

SQL = """{{{{ config(tags=['subset']) }}}}
select sample_id, width from {{{{ source('demo', 'samples') }}}}
where status = 'ok'
  and width >= {width} -- large enough
  and bytes > 0"""


def project(write: ProjectWriter, width: int) -> Project:
    """A project with the subset ``wide``."""
    return load_project(write({"models/large.sql": SQL.format(width=width)}))


def difference(of: Project, tables: Tables, warehouse: Warehouse, old: str, new: str) -> SubsetDifference:
    """Between two versions, by their names."""
    with warehouse.connect() as con:
        first, second = (find_version(tables, of, "large", said, con) for said in (old, new))
        return compare(of, "large", first, second, con)


def ids(tables: Tables) -> set[str]:
    """The samples of the stored table."""
    return set(tables.read(ModelRef("large"))["sample_id"].to_pylist())


def test_difference_names_samples_and_the_predicate(write_project: ProjectWriter, demo: Tables, warehouse: Warehouse):
    build_model(project(write_project, 300), "large", warehouse, demo)
    before = ids(demo)
    strict = project(write_project, 900)
    now = difference(strict, demo, warehouse, "current", "now")
    build_model(strict, "large", warehouse, demo)
    after = ids(demo)
    assert set() < after < before
    change = difference(strict, demo, warehouse, "previous", "current")
    assert (set(change.removed), change.added, change.kept) == (before - after, (), len(after))
    assert change.why_removed == {"width >= 900  (large enough)": len(before - after)}
    assert now == change, "what the next build would change was told before it"
    back = difference(strict, demo, warehouse, "current", "previous")
    assert back.added == change.removed and back.why_added == change.why_removed


def test_only_the_last_versions_are_kept(write_project: ProjectWriter, demo: Tables, warehouse: Warehouse):
    for width in range(100, 100 * (KEPT + 4), 100):
        build_model(project(write_project, width), "large", warehouse, demo)
    ((name, _),) = versioned(demo)
    assert name == "large" and len(demo.list("models/versions/large")) == KEPT
    build_model(project(write_project, width), "large", warehouse, demo)  # nothing to do
    assert len(demo.list("models/versions/large")) == KEPT and demo.models() == ["large"]


def test_version_that_is_not_there_is_named(write_project: ProjectWriter, demo: Tables, warehouse: Warehouse):
    of = project(write_project, 300)
    build_model(of, "large", warehouse, demo)
    with pytest.raises(
        ProjectError, match=r"model 'large' has no version 'previous'; there are [0-9a-f]{12}, and `now`"
    ):
        difference(of, demo, warehouse, "previous", "current")
