"""One word, one thing: a class name means the same wherever it is read."""

import ast
from collections import defaultdict

from tests.conftest import REPOSITORY


def test_no_two_modules_have_a_class_of_the_same_name() -> None:
    modules = defaultdict(list)
    for package in ("arot_assets", "resources", "sensors"):
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    modules[node.name].append(file.relative_to(REPOSITORY).as_posix())
    assert {name: files for name, files in modules.items() if len(files) > 1} == {}
