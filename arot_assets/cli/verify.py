"""`arot verify`: whether the store is what its own records say."""

import click


@click.command(
    name="verify", short_help="check that every table, row and model is what was written, and the sources unchanged"
)
@click.argument("datasets", nargs=-1)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="fraction of the tables' files that are read whole, at random; footers are read of all",
)
@click.option(
    "--objects",
    default="0",
    show_default=True,
    metavar="N",
    help="objects of each source to read and hash, at random; `all` for all of them",
)
def command(datasets: tuple[str, ...], share: float, objects: str) -> None:
    """Compare the store with its own records, for DATASETS or for all that have tables; changes nothing.

    Each table's file is read and compared with the checksums of its pages, with the place and the number of rows that it was
    written with, and the rows of samples with the digest in their footer. Every object of the inventory and every sample is
    looked for (none lost, none twice), and the files of trained models are hashed. With --objects, files of the sources are
    read and hashed too. The exit status is 1 if anything differs; each line says what to do. Shards that a table lacks are
    told, and are no error: they may not be made yet.

    \b
    Examples:
      arot verify                               everything in the store
      arot verify demo --share 0.05             a twentieth of the files, the footers of all
      arot verify demo --objects 1000           also 1,000 files of the source
    """
    from arot_assets.cli.bars import showing
    from arot_assets.verify import verify
    from resources.defaults import default_resources

    if objects != "all" and not objects.isdecimal():
        raise click.BadParameter(f"'{objects}' is neither a number nor `all`", param_hint="--objects")
    resources = default_resources()
    known = resources.tables.datasets()
    if unknown := [name for name in datasets if name not in known]:
        from arot_assets.errors import did_you_mean

        raise click.UsageError(
            f"dataset '{unknown[0]}' has no tables; `arot run` makes them.{did_you_mean(unknown[0], known)}"
        )
    with showing():
        found = verify(resources, datasets or known, share, -1 if objects == "all" else int(objects))
    for line in found.problems:
        click.secho(f"  {line}", fg="red")
    for line in found.missing:
        click.echo(f"  {line}")
    click.echo(
        f"{found.tables:,} of {found.footers:,} files of tables and {found.others:,} others read, {found.objects:,} objects of "
        f"sources and {found.models:,} files of models hashed: "
        f"{f'{len(found.problems):,} problems' if found.problems else 'all as recorded'}"
    )
    if found.problems:
        raise click.ClickException("the store is not what its records say; see above")
