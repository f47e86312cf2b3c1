"""All trainers, and which of them an export is for."""

from collections.abc import Mapping

from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers import (
    ai_toolkit,
    diffusers,
    diffusion_pipe,
    finetrainers,
    ltx2,
    ltx_video,
    musubi,
    onetrainer,
    sd_scripts,
    simpletuner,
)
from arot_assets.exports.trainers.trainer import Trainer

_ALL = (
    sd_scripts,
    musubi,
    diffusion_pipe,
    ai_toolkit,
    onetrainer,
    simpletuner,
    finetrainers,
    diffusers,
    ltx2,
    ltx_video,
)
TRAINERS: Mapping[str, Trainer] = {module.TRAINER.name: module.TRAINER for module in _ALL}


def trainers_of(declaration: ExportDeclaration, medium: str) -> list[Trainer]:
    """The trainers that an export is for.

    Raises:
        ExportError: one that is named does not take the layout or the medium.
    """
    fitting = [t for t in TRAINERS.values() if t.takes(declaration, medium)]
    if declaration.trainers is None:
        return [t for t in fitting if not t.superseded]
    for name in declaration.trainers:
        if TRAINERS[name] not in fitting:
            beside = " with a " + " and a ".join(declaration.companions) if declaration.companions else ""
            known = ", ".join(t.name for t in fitting) or "none"
            if declaration.weighted and not TRAINERS[name].repeats:
                raise ExportError(
                    f"exports/{declaration.name}: {name} has no repeats, so it cannot see some subsets of `mix` more often than "
                    f"others; those that can: {known}"
                )
            raise ExportError(
                f"exports/{declaration.name}: {name} does not take {medium}s{beside} in the layout '{declaration.layout}'; those "
                f"that do: {known}"
            )
    return [t for t in fitting if t.name in declaration.trainers]
