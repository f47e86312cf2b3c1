"""A vision-language model whose class is its repository's own runs here only by code that the declaration pins."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from arot_assets.captions.declaration import LocalModel
from resources.vlm.local import LocalVlm
from resources.vlm.question import Question, Sampling, VlmError
from tests.models.vlm import qwen2_vl
from tests.servers.hub import Hub
from tests.servers.vlm import small_jpeg

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIGURATION = """
from transformers import Qwen2VLConfig


class OwnConfig(Qwen2VLConfig):
    model_type = "own_vl"
"""
MODELING = """
from transformers import Qwen2VLForConditionalGeneration

from .configuration_own import OwnConfig


class OwnModel(Qwen2VLForConditionalGeneration):
    config_class = OwnConfig
"""
CLASSES = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForImageTextToText": "modeling_own.OwnModel"}
QUESTION = Question("Describe it.", (small_jpeg(7),), sampling=Sampling(max_tokens=24))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The folder of the model, with code that is not to run beside its own."""
    folder = tmp_path / "made"
    folder.mkdir()
    qwen2_vl(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": CLASSES, "model_type": "own_vl", "architectures": ["OwnModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_own.py").write_text(CONFIGURATION)
    (folder / "modeling_own.py").write_text(MODELING)
    (folder / "extra.py").write_text("raise SystemExit('it was run')\n")
    return folder


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Iterator[None]:
    """The loopback Hub as the Hub."""
    with hub.as_default(tmp_path / "home"):
        yield


def published(hub: Hub, made: Path) -> str:
    repository = hub.create("test/own-vl", "model")
    return hub.commit(repository, {path.name: path.read_bytes() for path in made.iterdir()}).id


def code_of(made: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((made / name).read_bytes()).hexdigest()
        for name in ("configuration_own.py", "modeling_own.py")
    }


def test_pinned_code_answers_and_no_other_is_fetched(
    hub: Hub, home: None, made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commit = published(hub, made)
    vlm = LocalVlm("test/own-vl", commit, "cpu", code_of(made))
    answer = vlm.ask(QUESTION)
    assert answer.finish_reason == "stop" and answer.tokens_out > 0
    assert type((vlm._loaded or (None, None))[1]).__name__ == "OwnModel"
    assert [text for text in caplog.messages if "runs code of it" in text and commit in text]
    assert not list((tmp_path / "home").rglob("extra.py"))


def test_code_that_is_not_pinned_is_not_run(hub: Hub, home: None, made: Path) -> None:
    (made / "modeling_own.py").write_text("raise SystemExit('it was run')\n" + MODELING)
    commit, code = published(hub, made), code_of(made)
    with pytest.raises(VlmError, match="cannot be loaded"):
        LocalVlm("test/own-vl", commit, "cpu").check(None)
    with pytest.raises(VlmError, match=r"modeling_own.py has SHA-256 .* is pinned; it is not run"):
        LocalVlm("test/own-vl", commit, "cpu", code | {"modeling_own.py": "0" * 64}).check(None)
    with pytest.raises(VlmError, match=r"modeling_own.py imports .configuration_own .* not among `files`"):
        LocalVlm("test/own-vl", commit, "cpu", {"modeling_own.py": code["modeling_own.py"]}).check(None)
    with pytest.raises(VlmError, match=r"trust_remote_code: .*elsewhere.py"):
        LocalVlm("test/own-vl", commit, "cpu", code | {"elsewhere.py": "0" * 64}).check(None)
    with pytest.raises(VlmError, match=r"trust_remote_code needs a commit of the Hub as `revision`"):
        LocalVlm("test/own-vl", "main", "cpu", code)


def test_code_of_another_repository_is_refused_by_its_name(hub: Hub, home: None, made: Path) -> None:
    config = json.loads((made / "config.json").read_text())
    config["auto_map"]["AutoModelForImageTextToText"] = "other/code--modeling_own.OwnModel"
    (made / "config.json").write_text(json.dumps(config))
    commit = published(hub, made)
    with pytest.raises(VlmError, match=r"from another repository, other/code, whose code is not pinned"):
        LocalVlm("test/own-vl", commit, "cpu", code_of(made)).check(None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trust_remote_code": True, "files": {"a.py": "0" * 64}}, "needs the commit on the Hub"),
        ({"trust_remote_code": True, "revision": COMMIT}, "needs `files`"),
        ({"revision": COMMIT, "files": {"a.py": "0" * 64}}, "only with `trust_remote_code: true`"),
        ({"trust_remote_code": True, "revision": COMMIT, "files": {"a.py": "00"}}, "should match pattern"),
        ({"trust_remote_code": True, "revision": COMMIT, "files": {"../a.py": "0" * 64}}, "is no Python file of the"),
    ],
)
def test_declared_code_is_pinned(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LocalModel.model_validate({"model": "test/own-vl", **fields})
