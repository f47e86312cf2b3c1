"""`arot new`: declare a dataset by writing its defs.yaml."""

from pathlib import Path

import click
import yaml

from arot_assets.datasets.declaration import LIST_EXTENSIONS
from arot_assets.declarations import DEFS, FILE, ImageDataset, load_declarations


@click.group(name="new", short_help="declare a dataset: writes its defs.yaml")
def command() -> None:
    """Declare something new. The file that is written is yours to edit."""


@command.command("image-dataset")
@click.argument("name")
@click.argument("source")
@click.option("--metrics", default="cv2,phash,embedding", show_default=True, help="metric tables to keep, by comma")
@click.option("--shard-size", default=5000, show_default=True, help="objects in a shard (one Dagster partition)")
def image_dataset(name: str, source: str, metrics: str, shard_size: int) -> None:
    """Declare the images below SOURCE (a folder), or those that it lists (a file of URLs), as the dataset NAME.

    Writes arot_assets/defs/datasets/NAME/defs.yaml. Then `arot run NAME` does the work, and the Dagster UI shows the assets
    after “Reload definitions”.

    \b
    Example:
      arot new image-dataset cats ~/pictures/cats --metrics cv2,phash
    """
    from pydantic import ValidationError

    declared = load_declarations()
    if name in declared.datasets or name in declared.classifiers:
        raise click.ClickException(f"'{name}' is declared already; edit its {FILE}, or choose another name")
    folder = Path(source).expanduser()
    is_list = folder.is_file() and source.lower().endswith(LIST_EXTENSIONS)
    if "://" not in source and not folder.is_dir() and not is_list:
        raise click.ClickException(
            f"'{source}' is not a folder, nor a list of URLs; check the spelling, and that the disk is mounted"
        )
    attributes = {
        "name": name,
        "source": source if "://" in source else str(folder.absolute()),
        "metrics": [m.strip() for m in metrics.split(",") if m.strip()],
        "shard_size": shard_size,
    }
    try:
        ImageDataset.model_validate(attributes)
    except ValidationError as error:
        first = error.errors()[0]
        text = str(first["msg"]).removeprefix("Value error, ")
        raise click.ClickException(
            f"{'.'.join(str(x) for x in first['loc'])}: {text} (got {first['input']!r})"
        ) from error
    path = DEFS / "datasets" / name / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"type": "arot_assets.components.ImageDataset", "attributes": attributes}
    path.write_text(yaml.safe_dump(body, sort_keys=False, allow_unicode=True), encoding="utf-8")
    click.echo(f"wrote {path}\nnext: arot run {name}")
