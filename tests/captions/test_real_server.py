"""A vision-language model itself, small and random, in the layout of Qwen2-VL: served by ``transformers serve``, and run here."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from resources.vlm.local import LocalVlm
from resources.vlm.question import Question, Sampling, VlmError
from resources.vlm.server import ServerSettings, VlmServer
from tests.captions.conftest import FIELDS, Asked
from tests.end_to_end.conftest import Project, make_project, project  # noqa: F401  # fixtures
from tests.models.vlm import qwen2_vl
from tests.servers.hub import Hub
from tests.servers.transformers_serve import TransformersServe
from tests.servers.vlm import small_jpeg

pytestmark = pytest.mark.slow

SHORT = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model."""
    folder = tmp_path_factory.mktemp("qwen2-vl")
    qwen2_vl(folder)
    return folder


@pytest.fixture(scope="module")
def serve(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersServe]:
    """The model behind the server that comes with transformers."""
    missing = [name for name in ("fastapi", "openai", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"`transformers serve` needs {', '.join(missing)}: pip install 'transformers[serving]'")
    with TransformersServe(made, tmp_path_factory.mktemp("serve")) as server:
        yield server


def published(hub: Hub, made: Path) -> str:
    """Publish the model on the Hub; gives its commit."""
    repository = hub.create("test/tiny-vl", "model")
    return hub.commit(repository, {path.name: path.read_bytes() for path in made.iterdir()}).id


def test_declared_captioner_asks_a_real_server_end_to_end(project: Project, serve: TransformersServe) -> None:
    project.add_examples(1)
    project.declare_dataset("demo", source=str(project.source))
    folder = project.defs / "captions" / "short"
    folder.mkdir(parents=True)
    (folder / "prompt.jinja").write_text("Describe the image in one sentence.")
    given = {
        "name": "short",
        "dataset": "demo",
        "prompt": "defs/captions/short/prompt.jinja",
        "server": {"url": serve.url, "model": serve.model, "concurrency": 2},
        "sampling": {"max_tokens": 24},
        "image": {"max_pixels": 10_000},
        "price": {"input": 1.0, "output": 2.0},
    }
    declared = {"type": "arot_assets.components.Captions", "attributes": given}
    (folder / "defs.yaml").write_text(yaml.safe_dump(declared))
    before = serve.said.count("POST /v1/chat/completions HTTP/1.1")  # other tests ask it too
    project.arot("run", "demo")
    rows = project.sql(
        "select s.status, text, finish_reason, served_model, tokens_in, tokens_out, cost, q.clip_tokens > 2 "
        "from demo.short s join demo.short_quality q using (sample_id)"
    )
    assert len(rows) == 3 and {row[0] for row in rows} == {"ok"}, (rows, serve.said)
    assert len({row[1] for row in rows}) == 3, "the images differ, so do the answers"
    assert {row[2] for row in rows} == {"stop"} and {row[3] for row in rows} == {f"{serve.model}@main"}
    assert all(row[4] > 20 and 6 < row[5] < 24 and row[6] == pytest.approx((row[4] + 2 * row[5]) / 1e6) for row in rows)
    answered = serve.said.count("POST /v1/chat/completions HTTP/1.1")
    assert answered - before == 3
    assert "up to date" in project.arot("run", "demo") and serve.said.count("POST /v1/chat") == answered


def test_real_server_that_ignores_schemas_is_found_out_and_its_answers_are_checked(
    asked: Asked, serve: TransformersServe
) -> None:
    server = {"url": serve.url, "model": serve.model, "concurrency": 2}
    reached = VlmServer(ServerSettings(serve.url, serve.model))
    reached.check(FIELDS)
    assert reached.structured is False
    found = asked.run(server=server, fields=FIELDS, sampling={"max_tokens": 24}, image={"max_pixels": 4_000})
    assert found.rows == 12 and {reason.partition(":")[0] for reason in found.failures} == {"invalid_json"}
    rows = asked.rows()
    assert {row["attempts"] for row in rows} == {2}, "asked once more, then a failed row"
    assert asked.budget is not None and asked.budget.used.tokens_out == sum(row["tokens_out"] for row in rows)


def test_server_with_another_model_says_so(serve: TransformersServe) -> None:
    from resources.vlm.question import NoAnswerError

    with pytest.raises(NoAnswerError, match="http_400: Server is pinned to"):
        VlmServer(ServerSettings(serve.url, "test/other")).ask(Question("Say.", (small_jpeg(1),), sampling=SHORT))


def test_local_model_answers_what_the_server_answers(made: Path, serve: TransformersServe) -> None:
    question = Question("Describe it.", (small_jpeg(7),), sampling=SHORT)
    there = VlmServer(ServerSettings(serve.url, serve.model)).ask(question)
    here = LocalVlm(str(made), device="cpu").ask(question)
    assert (here.text, here.finish_reason, here.tokens_in) == (there.text, "stop", there.tokens_in)
    assert here.tokens_out == there.tokens_out


def test_local_model_comes_from_the_hub_at_its_commit(hub: Hub, made: Path, asked: Asked, tmp_path: Path) -> None:
    commit = published(hub, made)
    with hub.as_default(tmp_path / "home"):
        local = {"model": "test/tiny-vl", "revision": commit}
        rule = {"local": local, "sampling": {"max_tokens": 24}, "image": {"max_pixels": 4_000}}
        found = asked.run(**rule)
        assert (found.rows, found.failures) == (12, {}), asked.rows()
        again = asked.run(**rule)
    rows = asked.rows()
    assert len({row["text"] for row in rows}) > 2 and {row["finish_reason"] for row in rows} == {"stop"}
    assert all(row["tokens_in"] > 20 and row["tokens_out"] > 0 for row in rows)
    assert (again.computed, again.kept) == (0, 12)
    with hub.as_default(tmp_path / "elsewhere"), pytest.raises(VlmError, match="cannot be loaded"):
        LocalVlm("test/tiny-vl", "0" * 40).check(None)


@pytest.mark.parametrize(("tokens", "finish"), [(3, "length"), (24, "stop")])
def test_local_answer_tells_whether_it_was_cut_off(made: Path, tokens: int, finish: str) -> None:
    said = LocalVlm(str(made), device="cpu").ask(
        Question("Describe it.", (small_jpeg(1),), system="Be brief.", sampling=Sampling(max_tokens=tokens))
    )
    assert said.finish_reason == finish and said.tokens_out <= tokens


def test_order_and_number_of_images_reach_a_local_model(made: Path) -> None:
    model = LocalVlm(str(made), device="cpu")

    def ask(*numbers: int) -> Any:
        return model.ask(Question("Compare.", tuple(map(small_jpeg, numbers)), sampling=SHORT))

    one, two, swapped = ask(7), ask(7, 2345), ask(2345, 7)
    assert one.tokens_in < two.tokens_in == swapped.tokens_in
    assert two.text != swapped.text and two.text == ask(7, 2345).text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "no_such_type"}'), "cannot be loaded"),
        (
            lambda folder: (folder / "config.json").write_text('{"auto_map": {"AutoConfig": "own.Own"}}'),
            "cannot be loaded",
        ),
    ],
    ids=["no weights", "no tensors", "unknown type", "code of its own"],
)
def test_local_model_that_cannot_be_used_is_one_error_before_anything_is_asked(
    made: Path, asked: Asked, tmp_path: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    import shutil

    spoiled = tmp_path / "spoiled"
    shutil.copytree(made, spoiled)
    spoil(spoiled)
    with pytest.raises(VlmError, match=said):
        asked.run(local={"model": str(spoiled)})
    assert not asked.rows()
