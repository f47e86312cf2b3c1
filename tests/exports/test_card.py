"""The card: what programs and people read of it, and what their owners wrote stays."""

from typing import Any

import pytest
import yaml

from arot_assets.exports.card import BEGIN, END, FRONT, merge
from arot_assets.exports.errors import ExportError
from arot_assets.metrics.registry import get_metric
from tests.exports.conftest import REPO, SUBSET, Exporter

FRONT_MATTER = {"license": "mit", "configs": [{"config_name": "default"}], "dataset_info": {"config_name": "default"}}
OURS = f"{BEGIN}\nnew\n{END}"


def card(exporter: Exporter) -> tuple[dict[str, Any], str]:
    """The first lines and the text of the newest card."""
    text = exporter.files()["README.md"].decode()
    found = FRONT.match(text)
    assert found is not None
    return yaml.safe_load(found[1]), text[found.end() :]


def test_programs_find_licence_size_files_and_features(exporter: Exporter) -> None:
    exporter.publish(columns=["width", "tags"])
    front, _ = card(exporter)
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    assert front["task_categories"] == ["unconditional-image-generation"]
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*-of-*.parquet"}]
    (split,) = front["dataset_info"]["splits"]
    assert split["name"] == "train" and split["num_examples"] == 12
    assert split["num_bytes"] >= sum(map(len, exporter.originals().values()))
    assert front["dataset_info"]["features"] == [
        {"name": "image", "dtype": "image"},
        {"name": "sample_id", "dtype": "string"},
        {"name": "width", "dtype": "int64"},
        {"name": "tags", "list": "string"},
    ]


def test_pictures_with_captions_are_for_text_to_image(exporter: Exporter) -> None:
    exporter.select("{{ config(tags=['subset']) }} select sample_id, width, 'a sea' as caption from "
                    "{{ source('d', 'samples') }} as samples where status = 'ok'")  # fmt: skip
    exporter.publish()
    assert card(exporter)[0]["task_categories"] == ["text-to-image"]


def test_people_find_counts_columns_waterfall_and_lineage(exporter: Exporter) -> None:
    exporter.select(SUBSET, least=110)
    done = exporter.publish(description="Bright photos.")
    _, text = card(exporter)
    (brightness,) = [c for c in get_metric("cv2").columns if c.name == "brightness"]
    ((version,),) = exporter.dataset.sql("select distinct metric_version from d.cv2")
    for part in (
        "# photos\n\nBright photos.",
        f"| rows | {done.rows} |",
        "| `width` | int64 | pixels \\| upright |",
        f"| `brightness` | float32 | {brightness.description} |",
        "| `uri` | string | where the object is, relative to its source |",
        "| `tags` | list<string> | from NAME.json",
        "| *all rows* | 12 |",
        f"| not dark | {done.rows} |",
        "| `d` | `source` |",
        f"| `d.cv2` | {version} |",
        "cv2.brightness >= 110  -- not dark",
        "`cc-by-4.0`",
        f'load_dataset("{REPO}", split="train")',
    ):
        assert part in text, part


def test_nothing_of_this_machine_is_told(exporter: Exporter) -> None:
    exporter.publish(description=f"From {exporter.dataset.source}.", layout="folder")
    for path, data in exporter.files().items():
        assert str(exporter.dataset.source).encode() not in data, path
        assert exporter.hub.token.encode() not in data, path


def test_a_changed_description_is_one_commit_and_reads_no_picture(exporter: Exporter) -> None:
    import shutil

    exporter.publish()
    shutil.rmtree(exporter.dataset.source)
    assert exporter.publish(description="Other words.", license="cc0-1.0").changed
    assert "Other words." in card(exporter)[1] and card(exporter)[0]["license"] == "cc0-1.0"
    assert exporter.commits() == 3


def test_what_people_wrote_around_ours_stays(exporter: Exporter) -> None:
    exporter.publish()
    text = exporter.files()["README.md"].decode()
    edited = text.replace("---\n\n<!--", "language: en\n# a comment\n---\nA word before.\n\n<!--") + "\nA word after.\n"
    edited = edited.replace("| rows | 12 |", "| rows | a dozen |")
    exporter.hub.commit(exporter.repository, {"README.md": edited.encode()})
    exporter.select(SUBSET, least=110)
    done = exporter.publish()
    front, body = card(exporter)
    assert front["language"] == "en" and front["dataset_info"]["splits"][0]["num_examples"] == done.rows
    assert body.startswith("A word before.\n\n<!-- arot: begin") and body.endswith(
        "<!-- arot: end -->\n\nA word after.\n"
    )
    assert "a dozen" not in body
    assert not exporter.publish().changed


def test_a_card_without_our_part_gets_it_at_its_end() -> None:
    assert merge("", FRONT_MATTER, OURS, REPO) == f"---\n{yaml.safe_dump(FRONT_MATTER, sort_keys=False)}---\n\n{OURS}\n"
    kept = merge("# Mine\n", FRONT_MATTER, OURS, REPO)
    assert kept.endswith(f"---\n# Mine\n\n{OURS}\n")
    assert merge(kept, FRONT_MATTER, OURS, REPO) == kept


def test_first_lines_that_say_the_same_are_kept_as_they_were_written() -> None:
    written = f"---\n# by hand\nconfigs: [{{config_name: default}}]\nlicense: 'mit'\ndataset_info: {{config_name: default}}\n---\n{OURS}\n"
    assert merge(written, FRONT_MATTER, OURS, REPO) == written


def test_other_configurations_and_a_chosen_task_stay() -> None:
    theirs = {
        "task_categories": ["image-classification"],
        "configs": [{"config_name": "b"}, {"config_name": "default", "x": 1}],
    }
    front = {**FRONT_MATTER, "task_categories": ["text-to-image"]}
    merged = merge(f"---\n{yaml.safe_dump(theirs)}---\n", front, OURS, REPO)
    found = FRONT.match(merged)
    assert found is not None
    values = yaml.safe_load(found[1])
    assert values["task_categories"] == ["image-classification"]
    assert values["configs"] == [{"config_name": "default"}, {"config_name": "b"}]


@pytest.mark.parametrize("broken", ["---\na: [\n---\n", "---\n- a list\n---\ntext"])
def test_first_lines_that_are_no_yaml_are_an_error_with_the_remedy(broken: str) -> None:
    with pytest.raises(
        ExportError, match=r"header of README.md in 'owner/photos' is not valid YAML .* correct it on the Hub"
    ):
        merge(broken, FRONT_MATTER, OURS, REPO)


def test_a_card_that_says_what_ends_our_part_does_not_end_it(exporter: Exporter) -> None:
    exporter.publish(description="before <!-- arot: end --> after")
    assert not exporter.publish(description="before <!-- arot: end --> after").changed
