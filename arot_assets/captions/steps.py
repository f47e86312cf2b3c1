"""The steps of captioners, and which of their shards are current.

Belongs here: the question that `arot run` and `arot status` ask. The work is in ``build.py``.
"""

from collections.abc import Mapping

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.prompt import Prompt, PromptError, read_prompt
from arot_assets.captions.quality import quality_metric
from arot_assets.captions.table import caption_version
from arot_assets.datasets.shards import footers_of, sharded_state
from arot_assets.datasets.steps import CONSERVATION, samples_path
from arot_assets.metrics.steps import metric_path, row_step
from arot_assets.steps import Check, Key, Look, State, Step
from resources.tables import SAMPLES


def caption_steps(declaration: CaptionsDeclaration) -> list[Step]:
    """The table of a captioner, and that of the quality of its texts."""
    key = metric_path(declaration.dataset, declaration.name)
    return [
        Step(
            keys=(key,),
            upstream=prompt_sources(declaration),
            state=lambda look: caption_state(look, declaration, read_prompt(declaration.prompt_path)),
            dataset=declaration.dataset,
            retries=True,
            checks={key: (Check(CONSERVATION),)},
        ),
        row_step(declaration.dataset, quality_metric(declaration)),
    ]


def prompt_sources(declaration: CaptionsDeclaration) -> tuple[Key, ...]:
    """What the answers are made from: the samples, and the tables that the prompt reads."""
    samples = samples_path(declaration.dataset)
    try:
        prompt = read_prompt(declaration.prompt_path)
    except PromptError:  # one captioner's prompt does not keep the rest from loading; the declaration's fault tells why
        return (samples,)
    return (samples, *(metric_path(declaration.dataset, table) for table in prompt.tables))


def caption_state(look: Look, declaration: CaptionsDeclaration, prompt: Prompt) -> State:
    """Which shards have an answer of the captioner's version for each of their ok samples."""
    version = caption_version(declaration, prompt)
    samples = footers_of(look, declaration.dataset, SAMPLES)

    def wanted(shard: str) -> Mapping[str, str] | None:
        if shard not in samples:
            return None
        return {"metric_version": version, "samples_digest": samples[shard].strings["samples_digest"]}

    return sharded_state(look, declaration.dataset, declaration.name, wanted)
