"""A takedown leaves Dagster's records without pictures that may show the samples, and without their names."""

from pathlib import Path

import dagster as dg
import pytest

from arot_assets.cli.history import clean_history, count_databases, pictures_of
from arot_assets.takedown import NamesMeant

SAMPLE, ADDRESS = "a" * 32, '/photos/ö "q".jpg'
SHOWN, OTHER = "data:image/jpeg;base64,VICTIM", "data:image/jpeg;base64,OTHER"


@dg.asset(key=["d", "samples"])
def samples(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Of the dataset with the sample."""
    context.log.info(f"read {ADDRESS} {SAMPLE}")
    sheet = dg.MetadataValue.md(f"![contact sheet]({SHOWN})")
    return dg.MaterializeResult(metadata={"contact sheet": sheet, "rows": 5, "first": f"for example {ADDRESS}"})


@dg.asset(key=["e", "samples"])
def others() -> dg.MaterializeResult:
    """Of another dataset."""
    return dg.MaterializeResult(metadata={"contact sheet": dg.MetadataValue.md(f"![contact sheet]({OTHER})")})


@dg.asset_check(asset=samples)
def looked_at() -> dg.AssetCheckResult:
    """A check that shows something."""
    return dg.AssetCheckResult(passed=True, metadata={"picture": dg.MetadataValue.md(f"![]({SHOWN})")})


def naming(home: Path, word: str) -> list[str]:
    """The files below Dagster's home in whose bytes a word occurs."""
    return sorted(
        p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file() and word.encode() in p.read_bytes()
    )


def test_pictures_and_names_leave_the_bytes_of_all_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    meant, shows = NamesMeant(frozenset([SAMPLE]), frozenset([ADDRESS])), pictures_of({"d"}, {"e"})
    with dg.DagsterInstance.get() as instance:
        run = dg.materialize([samples, others, looked_at], instance=instance).run_id
        events = len(instance.all_logs(run))
        assert len(naming(tmp_path, "VICTIM")) == 2 and naming(tmp_path, SAMPLE)
        done: list[int] = []
        assert clean_history(instance, meant, shows, done.append) > 0
        assert sum(done) == count_databases(instance) == 2
        for word in ("VICTIM", SAMPLE, "\u00f6 ", "ö "):
            assert naming(tmp_path, word) == [], word
        assert naming(tmp_path, "OTHER"), "pictures of another dataset stay"
        kept = instance.get_latest_materialization_event(dg.AssetKey(["d", "samples"]))
        assert kept is not None and kept.asset_materialization is not None
        assert {name: one.value for name, one in kept.asset_materialization.metadata.items()} == {
            "contact sheet": "(taken down)",
            "rows": 5,
            "first": "for example (taken down)",
        }
        assert len(instance.all_logs(run)) == events, "no event is lost"
        assert clean_history(instance, meant, shows, done.append) == 0
