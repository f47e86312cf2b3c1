"""`arot export`: a subset as files that trainers load."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from arot_assets.cli.work import Work
    from arot_assets.exports.export import ExportDeclaration


@click.command(name="export", short_help="write a subset as files that trainers load")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="show what would be exported; reads no file, writes nothing")
def command(name: str, dry_run: bool) -> None:
    """Write the export NAME: media, captions, and a configuration for each trainer, as a new version.

    exports/NAME/defs.yaml declares the subset, the layout and the destination. The files are read back with the rules of the
    trainers' own loaders before they take their place; the version before stays. What did not change is linked, and if
    nothing changed, nothing is written.

    \b
    Examples:
      arot export portraits --dry-run
      arot export portraits
    """
    from arot_assets.cli.bars import showing
    from arot_assets.cli.session import open_work
    from arot_assets.exports.export import ExportDeclaration
    from arot_assets.exports.steps import export_path

    with open_work() as work, showing():
        declaration = work.declared.get(ExportDeclaration, name)
        if dry_run:
            _preview(work, declaration)
            return
        facts = work.materialize(export_path(name))
    said = "exported to" if facts["changed"] else "nothing changed, it is in"
    click.echo(f"{name}: {facts['dagster/row_count']:,} samples, version {facts['version']}, {said} {facts['place']}")
    click.echo(f"next: {facts['place'].rstrip('/')}/configs/commands.md starts each trainer")
    if facts["left out"]:
        click.echo(f"  {facts['left out']:,} samples left out, because `rules` says so; left_out.parquet lists them")


def _preview(work: "Work", declaration: "ExportDeclaration") -> None:
    from arot_assets.exports.build import plan
    from arot_assets.exports.mix import mix_rows
    from arot_assets.exports.token_lengths import length_lines

    found = plan(declaration, work.project, work.resources)
    click.echo(f"{declaration.name}: {found.rows.num_rows:,} {found.medium.name}s, layout {declaration.layout}")
    for rule, count in sorted(found.noted.items()):
        click.echo(f"  {count:,} break {rule}: {declaration.action(rule)}")
    click.echo(f"  {len(found.left_out):,} left out")
    for row in mix_rows(found.repeats(declaration), found.counts(declaration)):
        click.echo(
            f"  {row['subset']}: {row['samples']:,} samples x {row['repeats']}, {row['of an epoch']} of an epoch"
        )
    if found.shared:
        click.echo(f"  {found.shared:,} samples are in several subsets: they are seen for each of them")
    for trainer, buckets in found.plans.items():
        facts, count = buckets.facts(), len(buckets.buckets)
        click.echo(
            f"  {trainer}: {count} bucket{'' if count == 1 else 's'}, {facts['crop']:.1%} cropped, "
            f"{facts['up_scaled']:.1%} up-scaled, {buckets.left_over:,} left over"
        )
    for line in length_lines(found.rows["caption"].to_pylist()):
        click.echo(f"  {line}")
