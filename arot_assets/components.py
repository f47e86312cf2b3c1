"""YAML -> assets: a component class for each kind of declaration, so that ``dg`` knows and checks them.

Belongs here: nothing but that. The kinds and what they build are in ``declarations/kinds/``; a new kind needs no line here.
"""

from typing import Any, ClassVar

import dagster as dg
from pydantic import BaseModel

from arot_assets.declarations.kind import Kind
from arot_assets.declarations.kinds import kinds


class DeclaredComponent(dg.Component):
    """What all components have in common; each has the kind that it stands for."""

    kind: ClassVar[Kind[Any]]

    def __init__(self, declaration: BaseModel) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of ``attributes``."""
        return cls.kind.model

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "DeclaredComponent":
        """The component of one ``defs.yaml``."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets and checks of this declaration."""
        return self.kind.definitions(self.declaration)


for _kind in kinds().values():
    globals()[_kind.name] = type(
        _kind.name, (DeclaredComponent,), {"kind": _kind, "__module__": __name__, "__doc__": type(_kind).__doc__}
    )
