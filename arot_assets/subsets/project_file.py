"""dbt_project.yml: where the parts of a project are, its variables, and its configuration by folder.

Belongs here: reading that one file. Does not belong here: the files in the folders that it names (``load.py``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError
from arot_assets.subsets.data_test import TEST_CONFIG_KEYS
from arot_assets.subsets.model import CONFIG_KEYS, Complain
from arot_assets.subsets.seeds import SEED_CONFIG_KEYS
from arot_assets.yaml_lines import YamlFile, read_yaml

FILE = "dbt_project.yml"
KEYS = (
    "name",
    "version",
    "config-version",
    "profile",
    "model-paths",
    "macro-paths",
    "test-paths",
    "seed-paths",
    "analysis-paths",
    "snapshot-paths",
    "asset-paths",
    "docs-paths",
    "target-path",
    "log-path",
    "packages-install-path",
    "clean-targets",
    "require-dbt-version",
    "query-comment",
    "flags",
    "models",
    "seeds",
    "snapshots",
    "data_tests",
    "tests",
    "vars",
)
NOT_RENDERED = ("vars", "query-comment")
"""Keys whose texts are not rendered."""
DEFAULT_FOLDERS = {
    "model-paths": "models",
    "macro-paths": "macros",
    "test-paths": "tests",
    "seed-paths": "seeds",
    "snapshot-paths": "snapshots",
}


@dataclass
class ProjectFile:
    """The parsed file; its texts are rendered once the macros are known (``load.py``)."""

    file: YamlFile

    @property
    def path(self) -> Path:
        """Its path."""
        return self.file.path

    @property
    def top(self) -> dict[str, Any]:
        """Its keys.

        Raises:
            ProjectError: it is not a mapping, or has an unknown key.
        """
        return self.file.mapping(self.file.value, (), KEYS)

    @property
    def name(self) -> str:
        """The project's name.

        Raises:
            ProjectError: there is none.
        """
        return self.file.text(self.top, "name", ())

    def folders(self, key: str) -> list[Path]:
        """The folders of one kind, such as ``model-paths``.

        Raises:
            ProjectError: they are not a list of strings.
        """
        names = self.file.sequence(self.top.get(key), (key,)) or [DEFAULT_FOLDERS[key]]
        for i, name in enumerate(names):
            if not isinstance(name, str):
                raise self.file.error((key, i), f"a folder must be text, not {name!r}")
        return [self.path.parent / name for name in names]

    def described_folders(self) -> list[Path]:
        """The folders whose properties files (.yml) describe models, seeds and sources."""
        return [*self.folders("model-paths"), *self.folders("seed-paths")]

    def variables(self) -> dict[str, Any]:
        """The values of ``vars``; those below the project's own name take precedence.

        Raises:
            ProjectError: they are not a mapping.
        """
        given = self.file.mapping(self.top.get("vars"), ("vars",))
        own = self.file.mapping(given.get(self.name), ("vars", self.name))
        return {**{k: v for k, v in given.items() if k != self.name}, **own}

    def layers(self, kind: str, parts: Sequence[str]) -> Iterator[tuple[dict[str, Any], Complain]]:
        """The configuration for a file at ``parts`` below its folder, from general to specific.

        Args:
            kind: ``models``, ``seeds``, ``tests`` or ``data_tests``.
            parts: the folders on the way, then the file's name without its extension.

        Raises:
            ProjectError: a key that is neither a folder nor a config.
        """
        known = {"models": CONFIG_KEYS, "seeds": SEED_CONFIG_KEYS}.get(kind, TEST_CONFIG_KEYS)
        where: tuple[str, ...] = (kind,)
        node = self.file.mapping(self.top.get(kind), where)
        for part in (None, self.name, *parts):
            if part is not None:
                where = (*where, part)
                node = self.file.mapping(node.get(part), where)
            for key, value in node.items():
                if not str(key).startswith("+") and not isinstance(value, dict) and key not in known:
                    raise self.file.error(
                        (*where, key), f"'{key}' is not a folder of {kind}; write a config as '+{key}'"
                    )
            values = {str(k).removeprefix("+"): v for k, v in node.items() if str(k).startswith("+") or k in known}
            yield values, self._complaint(where, node)

    def _complaint(self, where: tuple[str, ...], node: Mapping[str, Any]) -> Complain:
        return lambda key, message: self.file.error((*where, f"+{key}" if f"+{key}" in node else key), message)


def read_project_file(folder: Path) -> ProjectFile:
    """Read dbt_project.yml, without rendering its texts.

    Raises:
        ProjectError: it does not exist, or is not YAML.
    """
    return ProjectFile(read_yaml(folder / FILE))


def complaint(path: Path, line: int | None) -> Complain:
    """Creates errors at a line of a file, whatever the key."""
    return lambda _key, message: ProjectError(message, path, line)
