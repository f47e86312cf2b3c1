"""Reading all declarations of a project.

Belongs here: finding the files. Does not belong here: what is in them (``read.py``).
"""

from pathlib import Path

from arot_assets.declarations.declared import Declarations
from arot_assets.declarations.errors import DeclarationError
from arot_assets.declarations.read import is_named, name_in, read_declaration
from arot_assets.errors import ProjectError
from arot_assets.project import defs_folder
from arot_assets.yaml_lines import read_yaml

FILE = "defs.yaml"
MISNAMED = "defs.yml"


def load_declarations(folder: Path | None = None) -> Declarations:
    """Read every ``defs.yaml`` below a folder, by default the project's.

    Faults are: invalid YAML, an unknown type or key, an invalid value, a name that is declared twice, and what a kind finds
    wrong beside the other declarations.
    """
    found = Declarations()
    folder = folder or defs_folder()
    for path in sorted(folder.rglob(MISNAMED)):
        if not (path.parent / FILE).exists():
            found.leave_out(path.parent.name, DeclarationError(f"{path}: is not read; rename it to {FILE}"))
            found.unread.append(path)
    for path in sorted(folder.rglob(FILE)):
        try:
            file = read_yaml(path)
        except ProjectError as error:
            found.leave_out(path.parent.name, DeclarationError(str(error)))
            found.unread.append(path)
            continue
        try:
            declaration = read_declaration(file)
        except DeclarationError as error:
            found.leave_out(name_in(file), error)
            if not is_named(file):
                found.unread.append(path)
            continue
        found.add(str(declaration.name), declaration, file)  # type: ignore[attr-defined]
    found.check()
    return found
