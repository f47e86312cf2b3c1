"""`arot rollback`: let the model score that did before."""

import click


@click.command(name="rollback", short_help="let the model score that did before")
@click.argument("name")
@click.option("--reason", default="", help="kept with the decision for ever")
def command(name: str, reason: str) -> None:
    """Go back to the model of the classifier NAME that scored before the current one; twice goes back two.

    \b
    Example:
      arot rollback style --reason "too many sketches among the photos"
    """
    from arot_assets.classifiers.declaration import ClassifierDeclaration
    from arot_assets.classifiers.promotion import rollback
    from arot_assets.cli.promote import tell
    from arot_assets.declarations import load_declarations
    from resources.defaults import default_resources

    load_declarations().get(ClassifierDeclaration, name)
    tell(name, rollback(default_resources().tables, name, reason))
