"""What a vision-language model answers about the samples of a dataset."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.fields import FieldsError
from arot_assets.captions.prompt import Prompt, PromptError, read_prompt
from arot_assets.captions.quality import QUALITY
from arot_assets.captions.steps import caption_steps
from arot_assets.captions.table import caption_table
from arot_assets.declarations.errors import DeclarationError, error_at
from arot_assets.declarations.kind import KindOfDataset
from arot_assets.errors import did_you_mean
from arot_assets.metrics.registry import known_metrics
from arot_assets.metrics.takes import way_back
from arot_assets.steps import Step
from resources.errors import ArotError

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations

RESERVED_TABLES = ("samples", "inventory", "wide", "sample")


class Captioners(KindOfDataset[CaptionsDeclaration]):
    """What a vision-language model answers about each sample of a dataset, as a table of that dataset."""

    name, noun = "Captions", "captioner"
    model = CaptionsDeclaration

    def fault(self, one: CaptionsDeclaration, declared: "Declarations") -> ArotError | None:
        """The dataset, the prompt or the fields cannot be used, or the name is another table's."""
        file, dataset = declared.files[one.name], declared.datasets.get(one.dataset)
        if dataset is None:
            return super().fault(one, declared)
        if bool(dataset.medium.tables) != (one.stills is not None):
            remedy = (
                "say how many pictures of each are sent, e.g. `stills: 8`"
                if one.stills is None
                else "take `stills` out"
            )
            return error_at(file, ("attributes", "stills"), f"'{dataset.name}' is of {dataset.medium.name}s; {remedy}")
        if one.name in known_metrics() or one.name in RESERVED_TABLES:
            text = f"'{one.name}' is another table's name; choose another"
            return error_at(file, ("attributes", "name"), text)
        if not one.prompt_path.is_file():
            text = f"there is no file {one.prompt_path}; write the prompt there, or correct the path"
            return error_at(file, ("attributes", "prompt"), text)
        try:
            prompt = read_prompt(one.prompt_path)
            caption_table(one)
        except PromptError as error:
            return DeclarationError(str(error))
        except FieldsError as error:
            return error_at(file, ("attributes", "fields"), str(error))
        made = declared.tables_of(dataset.name)
        return _fault_of_inputs(one, prompt, {**dict.fromkeys(dataset.metrics, ()), **made})

    def tables(self, one: CaptionsDeclaration) -> Mapping[str, Collection[str]]:
        """The answers, and the quality of their texts. Nothing is known to be read by a prompt with a fault."""
        try:
            read = read_prompt(one.prompt_path).tables
        except PromptError:
            read = ()
        return {one.name: read, f"{one.name}{QUALITY}": (one.name,)}

    def steps(self, one: CaptionsDeclaration) -> list[Step]:
        """The table of answers, and that of their quality."""
        return caption_steps(one)

    def definitions(self, one: CaptionsDeclaration) -> "dg.Definitions":
        """Assets and checks of this captioner."""
        import dagster as dg

        from arot_assets.captions.assets import caption_assets
        from arot_assets.captions.checks import caption_checks
        from resources.defaults import default_resources

        models = default_resources().models
        return dg.Definitions(assets=caption_assets(one, models), asset_checks=[*caption_checks(one)])


def _fault_of_inputs(
    one: CaptionsDeclaration, prompt: Prompt, made: Mapping[str, Collection[str]]
) -> DeclarationError | None:
    """What is wrong with the tables that a prompt reads."""
    for table in prompt.tables:
        if table not in made:
            hint, others = did_you_mean(table, made), sorted(made.keys() - {one.name})
            return DeclarationError(
                f"{prompt.path}: it reads '{table}', which is no table of '{one.dataset}'.{hint} A prompt reads `sample`, and "
                f"tables: {', '.join(others)}"
            )
    circle = way_back(one.name, made)
    if circle:
        way = " -> ".join(circle)
        return DeclarationError(
            f"{prompt.path}: '{one.name}' would be made from itself ({way}); take one of the tables out"
        )
    return None


KIND = Captioners()
