"""`arot promote`: let a trained model score."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.classifiers.promotion import Decision


@click.command(name="promote", short_help="let a trained model score, whatever its gate said")
@click.argument("name")
@click.argument("digest", required=False)
@click.option("--reason", default="", help="kept with the decision for ever")
@click.option("--list", "listed", is_flag=True, help="show the models and all decisions, and change nothing")
def command(name: str, digest: str | None, reason: str, listed: bool) -> None:
    """Let a model of the classifier NAME score from now on: the one that was trained last, or the one with this DIGEST.

    Models below their gate, and those of `promotion: manual`, wait for this. `arot run` then computes the scores again;
    `arot rollback NAME` goes back. The decision and its reason are kept.

    \b
    Examples:
      arot promote style --list
      arot promote style
      arot promote style 3f9a --reason "checked the worst mistakes"
    """
    from arot_assets.classifiers.declaration import ClassifierDeclaration
    from arot_assets.classifiers.promotion import promote
    from arot_assets.declarations import load_declarations
    from resources.defaults import default_resources

    load_declarations().get(ClassifierDeclaration, name)
    tables = default_resources().tables
    if listed:
        _list(name)
        return
    tell(name, promote(tables, name, digest, reason))


def tell(name: str, decision: "Decision") -> None:
    """Say what was decided, to the user and to Dagster, whose automation follows the model's data version."""
    import dagster as dg
    from dagster import AssetMaterialization

    from arot_assets.classifiers.steps import training_paths
    from arot_assets.cli.launch import open_instance

    key = dg.AssetKey(list(training_paths(name)[2]))
    with open_instance() as instance:
        instance.report_runless_asset_event(
            AssetMaterialization(
                key,
                description=f"{decision.choice}: {decision.reason}",
                metadata={"model": decision.digest},
                tags={"dagster/data_version": decision.digest},
            )
        )
    before = f", after {decision.against}" if decision.against else ""
    click.echo(
        f"{name}: model {decision.digest} scores now ({decision.choice}{before}); `arot run` computes its scores"
    )


def _list(name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from arot_assets.classifiers.promotion import current, decisions, digests
    from resources.defaults import default_resources

    tables = default_resources().tables
    promoted = current(tables, name)
    click.echo(
        f"scores: {promoted.digest if promoted else 'no model'}; models: {', '.join(digests(tables, name)) or 'none'}"
    )
    shown = Table("at", "model", "decision", "reason")
    for one in decisions(tables, name):
        shown.add_row(one.at[:19], one.digest, one.choice, one.reason)
    Console(width=max(Console().width, 120)).print(shown)
