"""Captions are tables like any other: one row a sample, only what is missing is asked, and nothing is paid for twice."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from arot_assets.captions.budget import BudgetSpentError
from arot_assets.captions.prompt import PromptError
from resources.tables import TableRef
from resources.vlm.question import VlmError
from tests.captions.conftest import FIELDS, Asked
from tests.servers.vlm import KEY, MODEL, Request, small_jpeg

PRICE = {"input": 2.0, "output": 8.0}


def test_every_sample_has_a_caption_of_its_own_image(asked: Asked) -> None:
    found = asked.run(price=PRICE)
    rows = asked.rows()
    assert found.rows == found.computed == len(rows) == 12
    assert len({row["text"] for row in rows}) == 12 and all(row["text"].startswith("A photo") for row in rows)
    assert {row["finish_reason"] for row in rows} == {"stop"} and {row["served_model"] for row in rows} == {
        f"{MODEL}@1"
    }
    assert sum(row["tokens_in"] for row in rows) == asked.server.tokens_in
    assert sum(row["tokens_out"] for row in rows) == asked.server.tokens_out
    cost = (asked.server.tokens_in * 2.0 + asked.server.tokens_out * 8.0) / 1e6
    assert sum(row["cost"] for row in rows) == pytest.approx(cost)


def test_nothing_changed_asks_nothing_and_another_prompt_asks_all(asked: Asked) -> None:
    asked.run()
    before = len(asked.server.requests)
    again = asked.run()
    assert (again.kept, again.computed, len(asked.server.requests)) == (12, 0, before)
    asked.prompt.write_text("Describe the image in one word.")
    assert asked.run().computed == 12
    assert asked.run(server={"concurrency": 2}).computed == 0, "how fast it is asked changes nothing"
    assert asked.run(version="2").computed == 12


def test_renamed_file_is_not_asked_about_again(asked: Asked) -> None:
    asked.run()
    picture = sorted(asked.dataset.source.rglob("*.jpg"))[0]
    picture.rename(picture.with_name("renamed.jpg"))
    asked.dataset.inventory()
    asked.dataset.samples()
    before = len(asked.server.requests)
    asked.run()
    assert len(asked.server.requests) == before


def test_prompt_reads_samples_and_tables(asked: Asked) -> None:
    asked.dataset.metrics("cv2")
    asked.prompt.write_text("{{ sample.width }} px, {{ '%.1f' % cv2.brightness }} bright: {{ sample.caption }}")
    asked.run()
    texts = {request.text for request in asked.server.requests}
    expected = asked.dataset.sql(
        "select width || ' px, ' || printf('%.1f', brightness) || ' bright: ' || coalesce(caption, '') "
        "from d.samples join d.cv2 using (sample_id)"
    )
    assert texts == {text.strip() for (text,) in expected}


def test_image_is_sent_upright_and_within_its_pixels(asked: Asked) -> None:
    import base64
    import io

    from PIL import Image

    asked.run(image={"max_pixels": 10_000})
    for request in asked.server.requests:
        url = request.body["messages"][-1]["content"][0]["image_url"]["url"]
        image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        assert image.format == "JPEG" and 9_000 <= image.width * image.height <= 10_300


def test_control_picture_is_sent_after_the_samples_own(make_asked: Callable[..., Asked], tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    for number in range(4):
        for kind in ("images", "controls"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{number}.jpg").write_bytes(small_jpeg(number + (2000 if kind == "controls" else 0)))
    (folder / "controls" / "3.jpg").unlink()
    asked = make_asked(folder, shard_size=2)
    beside = ["{{ sample.uri | replace('/images/', '/controls/') }}"]
    found = asked.run(beside=beside)
    assert (found.rows, len(asked.server.requests)) == (7, 6)
    assert list(found.failures) == [r for r in found.failures if "is no readable object of the dataset" in r]
    shown = [[sent(part) for part in r.body["messages"][-1]["content"][:-1]] for r in asked.server.requests]
    assert all(len(images) == 2 for images in shown)
    of_images = [images for images in shown if images[0] != images[1]]
    assert len(of_images) == 3 and {images[0] == images[1] for images in shown} == {True, False}
    alone = {images[0] for images in shown if images[0] == images[1]}
    assert {images[1] for images in of_images} == alone, "each picture with the control of its own name"
    assert asked.run().computed == 7, "another number of pictures is another question"


def sent(part: dict[str, dict[str, str]]) -> str:
    """The picture that a part of a message holds, by its data URL."""
    return part["image_url"]["url"]


@pytest.mark.parametrize("template", ["{{ cv2.brightness }}", "{% if %}"])
def test_picture_beside_is_named_by_the_sample_alone(asked: Asked, template: str) -> None:
    with pytest.raises(ValueError, match="beside"):
        asked.declaration(beside=[template])


@pytest.mark.parametrize("structured", [True, False])
def test_fields_of_answers_are_columns(asked: Asked, structured: bool) -> None:
    asked.server.structured = structured
    asked.server.behaviour = lambda request: "fenced" if request.image < "8" else "json"
    asked.run(fields=FIELDS)
    rows = asked.rows()
    assert {row["people"] for row in rows} == {3 if structured else 2} and all(row["subject"] for row in rows)
    assert all(isinstance(row["tags"], list) for row in rows)
    assert sum(not request.image for request in asked.server.requests) == 1, (
        "a server is checked once, not once a shard"
    )
    first = next(request for request in asked.server.requests if request.image)
    assert ("response_format" in first.body) == structured, "a server that ignores schemas is told in the prompt"
    assert ("additionalProperties" in first.text) != structured


def test_unusable_answer_is_asked_for_once_more_with_another_seed(asked: Asked) -> None:
    ways = {0: "invalid", 1: "json"}
    asked.server.structured = False
    asked.server.behaviour = lambda request: ways.get(request.number, "json") if request.image < "8" else "invalid"
    found = asked.run(fields=FIELDS)
    assert set(map(_word, found.failures)) == {"invalid_json"}
    seeds = Counter(len({r.body["seed"] for r in asked.server.requests if r.image == i}) for i in _images(asked))
    assert set(seeds) == {2}
    assert max(Counter(r.image for r in asked.server.requests if r.image).values()) == 2


@pytest.mark.parametrize(
    ("way", "word"), [("length", "truncated"), ("no", "refused"), ("filter", "refused"), ("empty", "empty")]
)
def test_what_is_no_caption_is_a_failed_row_that_counts_its_tokens(asked: Asked, way: str, word: str) -> None:
    asked.server.behaviour = lambda request: way
    found = asked.run(price=PRICE)
    assert found.rows == 12 and set(map(_word, found.failures)) == {word}
    assert sum(row["tokens_in"] for row in asked.rows()) == asked.server.tokens_in
    asked.server.behaviour = lambda request: "text"
    assert asked.run().computed == 0, "a failed row is a result; only retry asks again"
    assert asked.run(retry=word).computed == 12


def test_overloaded_server_is_left_alone_as_long_as_it_asks(asked: Asked) -> None:
    first = []

    def behaviour(request: Request) -> str:
        if not first:
            first.append(request)
            return "throttle 1"
        return "text"

    asked.server.behaviour = behaviour
    assert asked.run(server={"concurrency": 1}).failures == {}
    assert asked.server.too_early == 0 and len(asked.server.requests) == 13


def test_budget_stops_cleanly_and_the_next_run_goes_on(asked: Asked) -> None:
    with pytest.raises(BudgetSpentError, match="are left"):
        asked.run(budget={"requests": 7})
    assert asked.budget is not None and asked.budget.used.requests == len(asked.server.requests) == 7
    with pytest.raises(BudgetSpentError):
        asked.run(budget={"tokens": 330})
    assert 7 < len(asked.server.requests) <= 10 and asked.budget.used.tokens_in + asked.budget.used.tokens_out <= 330
    with pytest.raises(BudgetSpentError, match="cost"):
        asked.run(budget={"money": 0.0003}, price=PRICE)
    assert asked.run().rows == 12
    assert all(count == 1 for count in asked.server.paid.values()) and len(asked.server.paid) == 12


def test_interrupted_run_keeps_every_answer(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    from arot_assets.captions import build

    real, seen = build.wait, []

    def interrupted(*args, **kwargs):  # type: ignore[no-untyped-def]
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(build, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asked.run()
    monkeypatch.setattr(build, "wait", real)
    answered = sum(asked.server.paid.values())
    assert 0 < answered < 12
    found = asked.run()
    assert found.computed == 12 - answered and found.rows == 12
    assert all(count == 1 for count in asked.server.paid.values())


def test_unreadable_file_is_a_failed_row_and_costs_nothing(asked: Asked, tmp_path: Path) -> None:
    away = sorted(asked.dataset.source.rglob("*.jpg"))[0]
    shutil.move(away, tmp_path / "away.jpg")
    found = asked.run()
    assert found.rows == 12 and list(map(_word, found.failures)) == ["unreadable"]
    assert len(asked.server.requests) == 11


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"server": {"url": "http://127.0.0.1:9/v1"}}, "does not answer"),
        ({"server": {"model": "test/tiny-vk"}}, "did you mean 'test/tiny-vl'"),
        ({"server": {"key_variable": "NO_SUCH_KEY"}}, r"\$NO_SUCH_KEY is not set"),
    ],
)
def test_server_that_cannot_be_used_is_one_error_before_anything_is_asked(
    asked: Asked, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(VlmError, match=said):
        asked.run(**fields)
    assert asked.server.requests == [] and not asked.dataset.resources.tables.exists(TableRef("d", "caption", "00000"))


def test_wrong_key_is_told_without_the_key(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.server.key = KEY
    monkeypatch.setenv("VLM_KEY", "sk-wrong-secret")
    with pytest.raises(VlmError, match="check the key in") as told:
        asked.run(server={"key_variable": "VLM_KEY"})
    assert "sk-wrong-secret" not in str(told.value)
    monkeypatch.setenv("VLM_KEY", KEY)
    assert asked.run(server={"key_variable": "VLM_KEY"}).rows == 12
    assert KEY not in json.dumps(asked.rows(), default=str)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Describe\n{{ sample.widht }}", r"short.jinja:2: sample has no column 'widht'; it has .*width"),
        ("{{ taggs.x }}", "reads 'taggs'"),
        ("{% if %}", r"short.jinja:1: "),
        ("   ", "the prompt is empty"),
        ("{{ sample.caption.__class__.__mro__ }}", r"short.jinja"),
    ],
)
def test_prompt_with_a_fault_names_file_and_line_before_anything_is_asked(asked: Asked, text: str, said: str) -> None:
    asked.prompt.write_text(text)
    with pytest.raises(PromptError, match=said):
        asked.run()
    assert asked.server.requests == []


def test_five_hundred_images_against_a_server_that_fails_in_every_way(
    make_asked: Callable[..., Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.vlm.server.LONGEST_WAIT", 0.05)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(500):
        (folder / f"{number:04d}.jpg").write_bytes(small_jpeg(number))
    asked = make_asked(folder, shard_size=175)
    once = ("throttle 0.01", "error 500", "error 503", "cut", "reset", "garbage", "invalid", "empty", "slow 0.01")
    always = ("invalid", "empty", "no", "length", "error 400", "error 500")

    def behaviour(request: Request) -> str:
        number = int(request.image[:6], 16)
        if number % 10 < 6:
            return "json"
        if number % 10 < 9:
            return once[number // 10 % len(once)] if request.number == 0 else "json"
        return always[number // 10 % len(always)]

    asked.server.structured = False
    asked.server.behaviour = behaviour
    found = asked.run(fields=FIELDS, price=PRICE, server={"concurrency": 16})
    rows = asked.rows()
    assert found.rows == len(rows) == len({row["sample_id"] for row in rows}) == 500
    ok = [row for row in rows if row["status"] == "ok"]
    words = Counter(_word(row["reason"]) for row in rows if row["status"] == "failed")
    assert set(words) == {"invalid_json", "empty", "refused", "truncated", "http_400", "http_500"}
    assert 425 < len(ok) < 475 and all(row["subject"] for row in ok)
    assert sum(row["tokens_in"] for row in rows) == asked.server.tokens_in - _of_check(asked)
    assert asked.budget is not None
    used = asked.budget.used
    assert used.tokens_out == sum(row["tokens_out"] for row in rows)
    assert used.cost == pytest.approx(sum(row["cost"] for row in rows))
    assert used.requests == sum(row["attempts"] for row in rows)
    usable = {r.image for r in asked.server.requests if r.image and behaviour(Request(r.image, "", {}, 9)) == "json"}
    twice = [image for image, count in asked.server.paid.items() if image in usable and count > 2]
    assert twice == [] and asked.server.most <= 16


def _word(reason: str) -> str:
    return reason.partition(":")[0]


def _images(asked: Asked) -> set[str]:
    return {request.image for request in asked.server.requests if request.image}


def _of_check(asked: Asked) -> int:
    """Tokens of the question that finds out whether the server enforces schemas."""
    return sum(100 + len(r.text.split()) for r in asked.server.requests if not r.image)
