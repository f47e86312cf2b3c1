"""`arot diff`: what changed between two versions of an export, or of a subset."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.cli.work import Work

SHOWN = 20


@click.command(name="diff", short_help="show what changed between two versions of an export or a subset")
@click.argument("name")
@click.argument("old", default="previous")
@click.argument("new", default="current")
def command(name: str, old: str, new: str) -> None:
    """Show which samples came into the export or the SQL model NAME from version OLD to NEW, which left, and why.

    A version is named by its first digits, `current` or `previous`; `now` is what the model's SQL selects from the tables of this
    moment, so `current now` tells what the next run would change. Of an export, captions and files that changed are shown too.

    \b
    Examples:
      arot diff portraits
      arot diff portraits 3f2a 91bc
      arot diff clean current now
    """
    from arot_assets.cli.session import open_work
    from arot_assets.exports.export import ExportDeclaration
    from arot_assets.exports.versions import versions

    with open_work() as work:
        is_export = bool(versions(work.resources.tables, name)) or name in work.declared.of(ExportDeclaration)
        if not is_export and name in work.project.models:
            _show_subset(work, name, old, new)
            return
        if not is_export:
            work.declared.get(ExportDeclaration, name)  # of a name that is unknown, that is the error
        _show_export(work, name, old, new)


def _show_subset(work: "Work", name: str, old: str, new: str) -> None:
    from arot_assets.subsets.versions import compare, find_version

    tables, project = work.resources.tables, work.project
    with work.resources.warehouse.connect() as con:
        first, second = (find_version(tables, project, name, said, con) for said in (old, new))
        change = compare(project, name, first, second, con)
    compared = f"{first.name} ({len(first.ids):,} samples) -> {second.name} ({len(second.ids):,})"
    click.echo(f"{name}: {compared}: {len(change.added):,} in, {len(change.removed):,} out")
    for sign, ids, why, said in (
        ("+", change.added, change.why_added, "were kept out by"),
        ("-", change.removed, change.why_removed, "are kept out by"),
    ):
        for sample in ids[:SHOWN]:
            click.echo(f"  {sign} {sample}")
        if len(ids) > SHOWN:
            click.echo(f"  {sign} … and {len(ids) - SHOWN:,} more")
        for predicate, samples in why.items():
            click.echo(f"  because {samples:,} {said}: {predicate}")


def _show_export(work: "Work", name: str, old: str, new: str) -> None:
    from arot_assets.exports.versions import compare, find_version

    tables = work.resources.tables
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
