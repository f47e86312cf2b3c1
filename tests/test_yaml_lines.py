"""YAML that people write: every fault is one error at its line, and all that YAML allows is read as dbt and Dagster read it."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.errors import ProjectError
from arot_assets.yaml_lines import read_yaml
from tests.tiers import draws


def written(folder: Path, text: str) -> Path:
    path = folder / "file.yml"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n", id="merge, own key wins"),
        pytest.param("b:\n  l: 3\n  <<: {k: 1, l: 2}\n", id="merge written after"),
        pytest.param("x: &x {a: 1}\ny: &y {a: 2, b: 3}\nz: {<<: [*x, *y]}\n", id="several merged"),
        pytest.param("x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y, c: 3}\nw: {<<: *y, c: 4}\n", id="merged twice"),
        pytest.param(
            "x: &x {a: 1}\ny: &y {<<: *x, a: 5}\nz: *y\nw: {<<: &v {<<: *x, a: 6}}\nu: *v\n", id="merged, then used"
        ),
        pytest.param("a: &t [not_null, unique]\nb: *t\n", id="alias of a list"),
        pytest.param("\ufeffa: 1\n", id="byte order mark"),
        pytest.param("a: 1\r\nb: 2\r\n", id="line ends of Windows"),
        pytest.param("--- \na: 2024-01-02\n...\n", id="one document, a date"),
        pytest.param("a: \"{{ var('x') }}\"\n", id="quoted Jinja"),
        pytest.param('a: "tab\\t bell\\a"\n', id="escapes"),
        pytest.param("", id="empty"),
        pytest.param("# only a comment\n", id="comment"),
    ],
)
def test_all_that_yaml_allows_is_read_as_pyyaml_reads_it(tmp_path, text):
    assert read_yaml(written(tmp_path, text)).value == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param("a: 1\nb: {{ team }}\n", 2, "text with {{ … }} needs quotes", id="unquoted braces"),
        pytest.param("a: 1\n{{ team }}: 2\n", 2, "needs quotes", id="braces as a key"),
        pytest.param("a:\n  - 1\n  - !secret pets\n", 3, "unknown tag '!secret'", id="tag on a scalar"),
        pytest.param("a: !mine {b: 1}\n", 1, "unknown tag '!mine'", id="tag on a mapping"),
        pytest.param("a: !mine [b]\n", 1, "unknown tag '!mine'", id="tag on a list"),
        pytest.param("a: !!python/name:os.system x\n", 1, "unknown tag", id="Python's own tag"),
        pytest.param("a: !!set {x, y}\n", 1, "unknown tag 'set'", id="a set"),
        pytest.param("a: 1\nb: =\n", 2, "unknown tag 'value'", id="an equals sign"),
        pytest.param(
            "a: 1\nb: 2024-13-45\n", 2, "'2024-13-45' is not a valid timestamp; put it in quotes", id="impossible date"
        ),
        pytest.param("b: !!bool maybe\n", 1, "'maybe' is not a valid bool", id="no truth value"),
        pytest.param("b: !!timestamp soon\n", 1, "'soon' is not a valid timestamp", id="no date"),
        pytest.param("b: !!int x\n", 1, "'x' is not a valid int", id="no number"),
        pytest.param("a: 1\n\nb: 'x\x07y'\n", 3, r"'\x07' is not allowed in YAML", id="control character"),
        pytest.param("a: 1\r\nb: \x00\r\n", 2, r"'\x00' is not allowed in YAML", id="null character"),
        pytest.param("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a'", id="key twice"),
        pytest.param("<<: 1\na: 1\n", 1, "not valid YAML: expected a mapping", id="merge of a number"),
        pytest.param("<<: [1]\na: 1\n", 1, "not valid YAML: expected a mapping", id="merge of a list of numbers"),
        pytest.param("a: *nothing\n", 1, "undefined alias", id="alias of nothing"),
        pytest.param("a: &a\n  - *a\n", 1, "is inside the value that it refers to", id="alias of itself"),
        pytest.param("a: &a {b: *a}\n", 1, "is inside the value that it refers to", id="mapping inside itself"),
        pytest.param("a: 1\n---\nb: 2\n", 2, "not valid YAML", id="two documents"),
        pytest.param("a: [1\nb: 2\n", 2, "not valid YAML", id="open bracket"),
        pytest.param("\tb: 2\n", 1, "not valid YAML", id="tab"),
        pytest.param("a: " + "[" * 5000, 1, "nested too deep", id="a thousand brackets"),
        pytest.param("? [a, b]\n: 1\n", 1, "a key must be a scalar", id="list as a key"),
    ],
)
def test_a_fault_is_one_error_at_its_line(tmp_path, text, line, says):
    path = written(tmp_path, text)
    with pytest.raises(ProjectError) as caught:
        read_yaml(path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(ProjectError, match="counting aliases"):
        read_yaml(written(tmp_path, "\n".join(lines)))


def test_lines_of_merged_keys_are_those_where_they_are_written(tmp_path):
    file = read_yaml(written(tmp_path, "x: &x\n  a: 1\ny:\n  <<: *x\n  b: 2\n"))
    assert (file.lines["y", "a"], file.lines["y", "b"]) == (2, 5)


@settings(deadline=None, max_examples=draws(300))
@given(st.text(st.sampled_from("ab1:-[]{}&*!<'\"#|>?%@, \n\t\x07é"), max_size=40))
def test_any_text_is_read_as_pyyaml_reads_it_or_is_one_error(tmp_path_factory, text):
    path = written(tmp_path_factory.getbasetemp(), text)
    try:
        value = read_yaml(path).value
    except ProjectError:
        return
    assert value == yaml.safe_load(text)
