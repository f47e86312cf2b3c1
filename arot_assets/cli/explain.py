"""`arot explain`: why a sample is in a subset, or not."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.subsets.explain import Explanation

MARKS = {True: ("in ", "green"), False: ("out", "red"), None: ("?  ", "yellow")}


@click.command(name="explain", short_help="what a subset removes, or why a sample is in it")
@click.argument("model")
@click.argument("sample", required=False)
def command(model: str, sample: str | None) -> None:
    """Show each condition of the subset MODEL with the values of one SAMPLE, and whether it lets the sample in.

    SAMPLE is the beginning of a sample_id, a URI, or a file name. Subsets that MODEL builds on are shown first; the duplicates of
    the sample are shown last. Without a SAMPLE: the waterfall, that is, how many samples each condition removes in order and on
    its own, computed from the current SQL and tables.

    \b
    Examples:
      arot explain clean
      arot explain clean chelsea.png
    """
    from arot_assets.duplicates.explain import duplicates_of
    from arot_assets.project import sql_folder
    from arot_assets.subsets.explain import explain, waterfall_text
    from arot_assets.subsets.load import load_project
    from resources.defaults import default_resources

    project = load_project(sql_folder())
    with default_resources().warehouse.connect() as con:
        if sample is None:
            click.echo(waterfall_text(project, model, con))
            return
        explanation = explain(project, model, sample, con)
        twins = duplicates_of(con, explanation.sample_id)
    click.echo(f"{explanation.sample_id}  {explanation.uri}")
    _show(explanation)
    for line in twins:
        click.echo(f"  {line}")


def _show(explanation: "Explanation") -> None:
    from arot_assets.subsets.explain import show

    for before in explanation.upstream:
        _show(before)
    mark, colour = MARKS[explanation.selected]
    click.echo(f"\n{click.style(explanation.model, bold=True)}: {click.style(mark.strip(), fg=colour)}")
    for verdict in explanation.verdicts:
        mark, colour = MARKS[verdict.inside]
        values = ", ".join(f"{name} = {show(value)}" for name, value in verdict.values.items())
        label = f"  ({verdict.label})" if verdict.label else ""
        click.echo(f"  {click.style(mark, fg=colour)}  {' '.join(verdict.text.split())}{label}\n       {values}")
    if not explanation.reached:
        missing = ", ".join(explanation.missing_from) or "its tables (joined)"
        click.echo(f"  not among the rows that {explanation.model} considers: no row in {missing}")
    for note in explanation.notes:
        click.echo(f"  note: {note}")
