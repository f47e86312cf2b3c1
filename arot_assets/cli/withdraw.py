"""`arot withdraw`: remove everything that a rater said."""

import click


@click.command(name="withdraw", short_help="remove everything that a rater said")
@click.argument("name")
@click.argument("rater")
@click.option("--yes", is_flag=True, help="do not ask")
def command(name: str, rater: str, yes: bool) -> None:
    """Remove all events of RATER from the ratings NAME, for good.

    What remains is a hash of the name, so that sources which still hold the ratings do not bring them back. The command then
    tells what was made from them and must be made again.

    \b
    Example:
      arot withdraw quality ann
    """
    from arot_assets.cli.session import open_work
    from arot_assets.declarations.kinds.ratings import ratings_of
    from arot_assets.ratings.events import withdraw
    from arot_assets.ratings.reviews import forget_reviews
    from arot_assets.ratings.steps import ratings_path, trust_paths
    from arot_assets.steps import Key

    with open_work() as work:
        declaration = ratings_of(name, work.declared)
        if not yes:
            click.confirm(f"remove everything that '{rater}' said in '{declaration.name}'?", abort=True)
        removed = withdraw(work.resources.tables, declaration.name, rater)
        reviews = forget_reviews(declaration.name, rater)
        click.echo(
            f"{declaration.name}: {removed:,} events of '{rater}' removed"
            + (f", and {reviews} reviews" if reviews else "")
        )
        reached: set[Key] = {ratings_path(declaration.name), *trust_paths(declaration.name)}
        for step in work.graph:
            if reached & set(step.upstream):
                reached |= set(step.keys)
        outdated = [step.name for step in work.graph if reached & set(step.keys)]
        click.echo("to be made again, by `arot run`: " + "; ".join(outdated))
