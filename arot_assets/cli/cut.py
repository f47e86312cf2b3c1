"""`arot cut`: the clips of a SQL model as files, each proved."""

import click


@click.command(name="cut", short_help="cut the clips of a SQL model out of their films, and prove each file")
@click.argument("model")
@click.argument("target")
@click.option("--films", required=True, metavar="DATASET", help="the dataset of the films")
@click.option("--fps", default="", help="frames per second: 24, 16, 30000/1001 …; default: the film's own")
@click.option(
    "--size", default="", metavar="WxH", help="scale to cover this size and cut to it; default: the film's own"
)
@click.option(
    "--multiple",
    default=2,
    show_default=True,
    type=click.IntRange(2),
    help="of sides, without --size",
)
@click.option("--frames", default=0, type=click.IntRange(0), help="at most so many frames a file; default: all")
@click.option(
    "--frames-step",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="frames are 1 plus a multiple of it: 4, 8",
)
@click.option(
    "--timing",
    default="nearest",
    show_default=True,
    type=click.Choice(["nearest", "retime"]),
    help="nearest in time, or every frame once and at most 5 % slower or faster",
)
@click.option(
    "--repeats",
    default="drop",
    show_default=True,
    type=click.Choice(["drop", "keep"]),
    help="with --fps: leave out frames that repeat the one before, if enough remain",
)
@click.option(
    "--audio", default="drop", show_default=True, type=click.Choice(["drop", "keep"]), help="the film's sound"
)
@click.option("--crf", default=17.0, show_default=True, help="quality of x264: less is better and larger")
@click.option("--preset", default="veryfast", show_default=True, help="speed of x264")
def command(
    model: str,
    target: str,
    films: str,
    fps: str,
    size: str,
    multiple: int,
    frames: int,
    frames_step: int,
    timing: str,
    repeats: str,
    audio: str,
    crf: float,
    preset: str,
) -> None:
    """Cut the clips of the SQL model MODEL into the folder TARGET, on any scheme.

    MODEL selects rows of the macro shots or sections. Each file has exactly the frames of its span: bars are cut away,
    the picture is upright with square pixels, in BT.709, at a constant rate. Each file is decoded again and compared
    with the film; the result is a row of TARGET/clips.parquet. Files that are there already are not cut again. With
    AROT_COMPUTE=ray, all machines of the cluster cut where they see TARGET: at an address such as s3://, or in the store.

    \b
    Examples:
      arot cut film_clips ~/clips --films films
      arot cut film_clips s3://bucket/clips --films films --fps 24 --size 768x512 --frames 121 --frames-step 8
    """
    from dataclasses import replace

    from pydantic import ValidationError

    from arot_assets.cli.bars import showing
    from arot_assets.clips.cutting import cut_clips, told_of_place
    from arot_assets.clips.declaration import Cutting
    from arot_assets.clips.target import TABLE, Target
    from resources.compute import compute_of
    from resources.defaults import default_resources
    from resources.storage.objects import absolute
    from resources.storage.storage import join

    values = {"fps": fps, "size": size, "multiple": multiple, "frames": frames, "frames_step": frames_step}
    values |= {"timing": timing, "repeats": repeats, "audio": audio}
    try:
        cutting = Cutting.model_validate({"model": model, "films": films, "crf": crf, "preset": preset, **values})
    except ValidationError as error:
        first = error.errors()[0]
        text = str(first["msg"]).removeprefix("Value error, ")
        raise click.UsageError(f"{'.'.join(str(x) for x in first['loc'])}: {text} (got {first['input']!r})") from error
    place = target if "://" in target else absolute(target)
    resources = replace(default_resources(), compute=compute_of())
    for line in told_of_place(resources, model, place):
        click.echo(line, err=True)
    with showing():
        table = cut_clips(resources, model, films, Target(place, join(place, TABLE)), cutting.settings)
    statuses = table["status"].to_pylist()
    failed = [row for row in table.to_pylist() if row["status"] != "ok"]
    for row in failed[:10]:
        click.echo(f"{row['clip_id']}: {row['reason']}", err=True)
    click.echo(f"{statuses.count('ok'):,} of {len(statuses):,} clips in {target}; proofs in clips.parquet")
    if failed:
        raise click.exceptions.Exit(1)
