"""`arot buckets`: what trainers make of the sizes of an export, before anything is written or cached."""

import click


@click.command(name="buckets", short_help="show what trainers would crop, up-scale and leave over")
@click.argument("name")
@click.option("--trainer", help="only this trainer; default: all of the export")
@click.option("--compare", is_flag=True, help="compare training resolutions, and mark the one that loses least")
def command(name: str, trainer: str | None, compare: bool) -> None:
    """Show the buckets of the export NAME, by each trainer's own arithmetic; reads no file, writes nothing.

    \b
    Examples:
      arot buckets portraits
      arot buckets portraits --trainer sd-scripts --compare
    """
    from arot_assets.cli.session import open_work
    from arot_assets.errors import did_you_mean
    from arot_assets.exports.build import plan
    from arot_assets.exports.export import ExportDeclaration
    from arot_assets.exports.resolutions import resolutions_of

    with open_work() as work:
        declaration = work.declared.get(ExportDeclaration, name)
        found = plan(declaration, work.project, work.resources)
        if trainer is not None and trainer not in found.plans:
            raise click.ClickException(f"no buckets of '{trainer}'.{did_you_mean(trainer, found.plans)}")
        for one in found.trainers:
            if trainer is not None and one.name != trainer:
                continue
            buckets, facts = found.plans[one.name], found.plans[one.name].facts()
            click.secho(
                f"{one.name}: {buckets.columns.num_rows:,} samples in {len(buckets.buckets)} buckets", bold=True
            )
            click.echo(
                f"  cropped {facts['crop']:.1%}, up-scaled {facts['up_scaled']:.1%}, left out {buckets.left_out:,}, left over "
                f"{buckets.left_over:,} an epoch"
            )
            for use in buckets.buckets:
                size = f"{use.width}x{use.height}" + (f"x{use.frames}" if use.frames > 1 else "")
                click.echo(
                    f"  {size:>14}  {use.samples:>8,}" + (f"  ({use.left_over:,} left over)" if use.left_over else "")
                )
            if compare:
                for row in resolutions_of(declaration, found, one):
                    click.echo(
                        f"  resolution {row['resolution']:>5}: lost {row['lost']:>6.1%}, invented {row['invented']:>6.1%}, "
                        f"left over {row['left over']:,}  {row['best']}"
                    )
