"""A captioner as a user declares it: YAML and a prompt, worked on by the commands that work on everything."""

import shutil

import pytest
import yaml

from tests.captions.conftest import server  # noqa: F401  # a fixture
from tests.end_to_end.conftest import Project
from tests.servers.vlm import MODEL, VlmServerDouble


@pytest.fixture
def captioned(project: Project, server: VlmServerDouble) -> Project:
    """Six pictures, and two captioners of which one reads the other's texts."""
    project.add_examples(2)
    shutil.rmtree(project.defs / "classifiers")
    project.declare_dataset("demo", metrics=["cv2"], source=str(project.source))
    declare(project, server, "dense", "Describe everything.")
    declare(project, server, "short", "Say in ten words: {{ dense.text }} ({{ '%.0f' % cv2.brightness }})")
    return project


def declare(project: Project, server: VlmServerDouble, name: str, prompt: str, **fields: object) -> None:
    """Write a captioner's defs.yaml and prompt."""
    folder = project.defs / "captions" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompt.jinja").write_text(prompt)
    given = {
        "name": name,
        "dataset": "demo",
        "prompt": f"defs/captions/{name}/prompt.jinja",
        "server": {"url": server.url, "model": MODEL, "concurrency": 2},
        **fields,
    }
    (folder / "defs.yaml").write_text(yaml.safe_dump({"type": "arot_assets.components.Captions", "attributes": given}))


def test_run_status_retry_and_explain_know_captions(captioned: Project, server: VlmServerDouble) -> None:
    server.behaviour = lambda request: (
        "length" if request.text == "Describe everything." and request.image < "5" else "text"
    )
    said = captioned.arot("run", "demo")
    assert "rows of dense failed" in said, said
    rows = captioned.sql(
        "select d.status, s.status, q.status, q.words from demo.dense d join demo.short s using (sample_id) join "
        "demo.short_quality q using (sample_id)"
    )
    assert len(rows) == 6 and {row[1] for row in rows} == {"ok"} and all(row[3] > 5 for row in rows)
    failed = sum(row[0] == "failed" for row in rows)
    asked = len(server.requests)
    assert "up to date" in captioned.arot("run", "demo") and len(server.requests) == asked
    assert "truncated: the answer reached max_tokens" in captioned.arot("status", "demo")
    server.behaviour = lambda request: "text"
    captioned.arot("retry", "demo", "--reason", "truncated")
    assert len(server.requests) == asked + failed
    assert captioned.sql("select count(*) from demo.dense where status = 'ok'") == [(6,)]
    ((wide,),) = captioned.sql("select count(dense__text) from demo.wide")
    assert wide == 6


def test_spent_budget_fails_its_own_table_with_what_is_left(captioned: Project, server: VlmServerDouble) -> None:
    declare(captioned, server, "dense", "Describe everything.", budget={"requests": 4})
    said = captioned.arot("run", "demo", status=1)
    assert "the budget of this run is spent (4 requests" in said and "2 are left" in said, said
    assert captioned.sql("select count(*) from demo.cv2") == [(6,)]
    captioned.arot("run", "demo")
    assert captioned.sql("select count(*) from demo.dense") == [(6,)]
    dense = [r for r in server.requests if r.text == "Describe everything."]
    assert len(dense) == len({r.image for r in dense}) == 6


def test_fault_of_a_captioner_is_one_line_and_leaves_the_rest_alone(
    captioned: Project, server: VlmServerDouble
) -> None:
    declare(captioned, server, "dense", "{% for %}")
    said = captioned.arot("run", "demo")
    assert "prompt.jinja:1:" in said and "Traceback" not in said, said
    assert captioned.sql("select count(*) from demo.cv2") == [(6,)]
    declare(captioned, server, "dense", "{{ short.text }}")
    assert "would be made from itself" in captioned.arot("doctor", status=1)
    declare(captioned, server, "dense", "{{ cv3.x }}")
    assert "reads 'cv3'" in captioned.arot("doctor", status=1)
    declare(
        captioned, server, "dense", "Say.", fields={"type": "object", "properties": {"Big Name": {"type": "string"}}}
    )
    assert "properties.Big Name" in captioned.arot("doctor", status=1)
