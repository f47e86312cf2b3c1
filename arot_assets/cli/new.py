"""`arot new`: declare a dataset or an export by writing its defs.yaml, or a subset by writing its SQL."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import BaseModel, ValidationError

from arot_assets.cli.new_file import write_new
from arot_assets.cli.new_subset import subset
from arot_assets.datasets.declaration import LIST_EXTENSIONS
from arot_assets.declarations import Declarations, ImageDataset, VideoDataset, load_declarations
from arot_assets.declarations.dataset import Dataset, unknown_metric
from arot_assets.declarations.kinds import kind_of
from arot_assets.declarations.load import FILE
from arot_assets.declarations.read import shown
from arot_assets.errors import did_you_mean
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.export import ExportDeclaration
from arot_assets.project import defs_folder
from resources.storage.objects import absolute


def _choices(model: type[BaseModel], field: str) -> click.Choice[str]:
    """The values that a field may have."""
    return click.Choice(get_args(model.model_fields[field].annotation))


@click.group(name="new", short_help="declare a dataset, a subset or an export, in a file")
def command() -> None:
    """Declare something new, in a file that you can edit."""


command.add_command(subset)


@command.command("image-dataset", short_help="a dataset of images")
@click.argument("name")
@click.argument("source")
@click.option(
    "--metrics", default="cv2,phash,embedding", show_default=True, help="metric tables to keep, comma-separated"
)
@click.option("--shard-size", default=5000, show_default=True, help="objects per shard (one Dagster partition)")
def image_dataset(name: str, source: str, metrics: str, shard_size: int) -> None:
    """Declare the dataset NAME: the images below SOURCE (a folder, s3://… or hf://…), or those listed in SOURCE (a file of URLs).

    This writes datasets/NAME/defs.yaml in the project's folder of declarations. `arot run NAME` then does the work, and the
    Dagster UI shows the assets after “Reload definitions”.

    \b
    Example:
      arot new image-dataset cats ~/pictures/cats --metrics cv2,phash
      arot new image-dataset cats hf://datasets/owner/cats
    """
    _declare_dataset(ImageDataset, name, source, metrics, shard_size)


@command.command("video-dataset", short_help="a dataset of films")
@click.argument("name")
@click.argument("source")
@click.option(
    "--metrics", default="", help="metric tables of images to measure on two stills a second, comma-separated"
)
@click.option("--shard-size", default=200, show_default=True, help="films per shard (one Dagster partition)")
def video_dataset(name: str, source: str, metrics: str, shard_size: int) -> None:
    """Declare the dataset NAME: the films below SOURCE (a folder, s3://… or hf://…), or those listed in SOURCE (a file of URLs).

    This writes datasets/NAME/defs.yaml in the project's folder of declarations. `arot run NAME` then does the work, and the
    Dagster UI shows the assets after “Reload definitions”.

    \b
    Example:
      arot new video-dataset films ~/films --metrics cv2
    """
    _declare_dataset(VideoDataset, name, source, metrics, shard_size)


def _declare_dataset(kind: type[Dataset], name: str, source: str, metrics: str, shard_size: int) -> None:
    declared = load_declarations()
    _require_new(declared, name)
    wanted = [m.strip() for m in metrics.split(",") if m.strip()]
    if unknown := next((text for one in wanted if (text := unknown_metric(one, declared))), ""):
        raise click.ClickException(unknown)
    folder = Path(source).expanduser()
    is_list = folder.is_file() and source.lower().endswith(LIST_EXTENSIONS)
    if "://" not in source and not folder.is_dir() and not is_list:
        raise click.ClickException(
            f"'{source}' is neither a folder nor a list of URLs; check the spelling, and that the disk is mounted"
        )
    attributes = {
        "name": name,
        "source": source if "://" in source else absolute(source),
        "metrics": wanted,
        "shard_size": shard_size,
    }
    path = _declare("datasets", kind, attributes)
    click.echo(f"wrote {path}\nnext: arot run {name}")


@command.command("hub-dataset", short_help="a subset as a dataset on the Hugging Face Hub")
@click.argument("name")
@click.argument("subset")
@click.argument("repo")
@click.option("--license", "licence", required=True, help="as the Hub names it: cc-by-4.0, mit, other …")
@click.option(
    "--layout",
    default="parquet",
    show_default=True,
    type=_choices(HubDatasetDeclaration, "layout"),
    help="Parquet files, or a folder of image files",
)
def hub_dataset(name: str, subset: str, repo: str, licence: str, layout: str) -> None:
    """Declare the export NAME: the SQL model SUBSET as the dataset REPO (owner/name) on the Hugging Face Hub.

    This writes exports/NAME/defs.yaml in the project's folder of declarations. Nothing is published before you run `arot publish
    NAME`.

    \b
    Example:
      arot new hub-dataset clean_photos clean my-team/clean-photos --license cc-by-4.0
    """
    _require_new(load_declarations(), name)
    _require_subset(subset)
    attributes = {"name": name, "subset": subset, "repo": repo, "layout": layout, "license": licence}
    path = _declare("exports", HubDatasetDeclaration, attributes)
    click.echo(f"wrote {path}\nnext: arot publish {name} --dry-run")


@command.command("export", short_help="a subset as files that trainers load")
@click.argument("name")
@click.argument("subset")
@click.option(
    "--layout",
    default="pairs",
    show_default=True,
    type=_choices(ExportDeclaration, "layout"),
    help="how media and captions are arranged: pairs of files for most trainers",
)
@click.option(
    "--media",
    default="safe",
    show_default=True,
    type=_choices(ExportDeclaration, "media"),
    help="safe: what trainers read differently is re-encoded; original: nothing is; exact: into sizes that no trainer changes",
)
@click.option("--resolution", default=1024, show_default=True, help="training size of pictures, in pixels")
def export(name: str, subset: str, layout: str, media: str, resolution: int) -> None:
    """Declare the export NAME: the SQL model SUBSET as files that trainers load.

    This writes exports/NAME/defs.yaml in the project's folder of declarations. Nothing is exported before you run `arot export
    NAME`.

    \b
    Example:
      arot new export portraits clean --media exact --resolution 1024
    """
    _require_new(load_declarations(), name)
    _require_subset(subset)
    attributes = {"name": name, "subset": subset, "layout": layout, "media": media, "resolution": resolution}
    path = _declare("exports", ExportDeclaration, attributes)
    click.echo(f"wrote {path}\nnext: arot export {name} --dry-run")


def _require_subset(subset: str) -> None:
    """Check that a SQL model is a subset without faults."""
    from arot_assets.project import sql_folder
    from arot_assets.subsets.load import load_project

    project = load_project(sql_folder())
    if subset in project.broken:
        raise project.broken[subset]
    if subset not in project.subsets:
        raise click.ClickException(
            f"no SQL model '{subset}' is tagged `subset`.{did_you_mean(subset, project.subsets)}"
        )


def _require_new(declared: Declarations, name: str) -> None:
    if name in declared.files or declared.fault(name) is not None:
        raise click.ClickException(f"'{name}' is already declared; edit its {FILE}, or choose another name")


def _declare(folder: str, kind: type[BaseModel], attributes: Mapping[str, Any]) -> Path:
    """Write a declaration, if its values are valid; returns its file."""
    try:
        kind.model_validate(attributes)
    except ValidationError as error:
        first = error.errors()[0]
        text = str(first["msg"]).removeprefix("Value error, ")
        raise click.ClickException(
            f"{'.'.join(str(x) for x in first['loc'])}: {text} (got {shown(first['input'])})"
        ) from error
    path = defs_folder() / folder / str(attributes["name"]) / FILE
    if path.exists():
        raise click.ClickException(f"{path} already exists; edit it, or choose another name")
    body = {"type": kind_of(kind).type, "attributes": dict(attributes)}
    return write_new(path, yaml.safe_dump(body, sort_keys=False, allow_unicode=True))
