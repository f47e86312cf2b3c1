"""`arot models`: the model catalogue."""

import click


@click.command(name="models", short_help="list the model catalogue")
def command() -> None:
    """List the models that can be applied to images: licence, size, outputs, and whether the weights are installed."""
    from rich.console import Console
    from rich.table import Table

    from arot_assets.cli.problems import tell_problem
    from resources.defaults import default_resources
    from resources.models.entries import all_entries

    shown = Table("model", "id and revision", "licence", "parameters", "input", "outputs", "weights here")
    for row in default_resources().models.describe():
        size = f"yes, {row['bytes'] / 1e6:,.0f} MB" if row["available"] else "no"
        outputs = "\n".join(f"{name}: {text}" for name, text in row["outputs"].items())
        parameters = f"{row['parameters'] / 1e6:,.1f} M"
        shown.add_row(
            row["name"], f"{row['id']}\n{row['revision']}", row["licence"], parameters, row["input"], outputs, size
        )
    Console(width=max(Console().width, 140)).print(shown)
    for error in all_entries()[1]:
        tell_problem(f"left out: {error}")
