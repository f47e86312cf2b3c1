"""`arot forget`: take samples out of all exports."""

import click


@click.command(name="forget", short_help="take samples out of all exports, and list where they were published")
@click.argument("samples", nargs=-1, required=True)
@click.option("--because", required=True, help="why, for the record: a takedown request, a licence …")
@click.option("--yes", is_flag=True, help="do not ask")
def command(samples: tuple[str, ...], because: str, yes: bool) -> None:
    """Take SAMPLES (sample_ids, or their first digits) out of every export, for ever.

    Versions that contain one are removed from the store, from folders and from S3; what is on the Hub or was copied elsewhere is
    listed, because only its owner can remove it there. Later exports and publications leave the samples out.

    \b
    Example:
      arot forget 3f2a91bc04d1e6f7 --because "request of the author, 2026-11-26"
    """
    from arot_assets.cli.session import open_work
    from arot_assets.exports.takedown import affected, find_samples, forget

    with open_work() as work:
        found = find_samples(work.resources, samples)
        places = affected(work.resources.tables, found)
        for place in places:
            click.echo(
                f"  {place.export} version {place.receipt.version}: {place.samples} of them in {place.receipt.place}"
            )
        if not yes:
            click.confirm(f"take {len(found)} samples out of {len(places)} versions?", abort=True)
        left = forget(work.resources, found, because)
    click.echo(f"{len(found)} samples are forgotten, {len(places) - len(left)} versions removed")
    for place in left:
        click.secho(
            f"  to be removed by hand: {place.receipt.place} (commit {place.receipt.commit or 'unknown'})", fg="yellow"
        )
    for name in sorted({place.export for place in places}):
        click.echo(f"  next: arot export {name}")
