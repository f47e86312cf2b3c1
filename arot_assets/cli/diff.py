"""`arot diff`: what changed between two versions of an export."""

import click

SHOWN = 20


@click.command(name="diff", short_help="show what changed between two versions of an export")
@click.argument("name")
@click.argument("old", default="previous")
@click.argument("new", default="current")
def command(name: str, old: str, new: str) -> None:
    """Show which samples came into the export NAME from version OLD to NEW, which left, whose caption or file changed, and why.

    A version is named by its first digits, `current` or `previous`.

    \b
    Examples:
      arot diff portraits
      arot diff portraits 3f2a 91bc
    """
    from arot_assets.cli.session import open_work
    from arot_assets.exports.export import ExportDeclaration
    from arot_assets.exports.versions import compare, find_version, versions

    with open_work() as work:
        tables = work.resources.tables
        if not versions(tables, name):
            work.declared.get(ExportDeclaration, name)  # of a name that is unknown, that is the error
        first, second = find_version(tables, name, old), find_version(tables, name, new)
        change = compare(tables, name, first.version, second.version)
    counts = f"{len(change.added):,} in, {len(change.removed):,} out"
    counts += f", {len(change.recaptioned):,} captions, {len(change.rewritten):,} files changed"
    compared = f"{first.version} ({first.samples:,} samples) -> {second.version} ({second.samples:,})"
    click.echo(f"{name}: {compared}: {counts}")
    for sign, rows in (("+", change.added), ("-", change.removed)):
        for row in rows[:SHOWN]:
            click.echo(f"  {sign} {row['path']}  {row['uri']}")
        if len(rows) > SHOWN:
            click.echo(f"  {sign} … and {len(rows) - SHOWN:,} more")
    for path, before, after in change.recaptioned[:SHOWN]:
        click.echo(f"  ~ {path}\n      {before}\n      {after}")
    for line in change.why:
        click.echo(f"  because {line}")
