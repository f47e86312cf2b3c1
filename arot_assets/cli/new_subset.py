"""`arot new subset`: a SQL model that selects samples of a dataset, as a file to edit."""

from pathlib import Path

import click

from arot_assets.cli.new_file import write_new
from arot_assets.errors import did_you_mean
from arot_assets.names import LONGEST, NAME, proposed_name

HEAD = """{{{{ config(tags=['subset']) }}}}

-- Each line of the WHERE is one step of the waterfall; the comment after it is its name.
select samples.sample_id, samples.uri, samples.width, samples.height, samples.caption
from {{{{ source('{dataset}', 'samples') }}}} as samples
"""
JOIN = "left join {{{{ source('{dataset}', '{table}') }}}} as {table} using (sample_id)\n"
STATUS = "where samples.status = 'ok'  -- decodable, first copy\n"


@click.command("subset", short_help="a selection of samples, in SQL")
@click.argument("name")
@click.argument("dataset")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    help="a condition, e.g. 'cv2.sharpness >= 100'; repeat it for more. Tables named in it are joined",
)
def subset(name: str, dataset: str, conditions: tuple[str, ...]) -> None:
    """Declare the subset NAME: samples of DATASET that meet the conditions.

    This writes models/subsets/NAME.sql in the project's folder of SQL, and lists the tables of DATASET as sources if no
    file there does. `arot explain NAME` then counts what each condition removes, before anything is built.

    \b
    Example:
      arot new subset sharp_cats cats --where "cv2.sharpness >= 100" --where "samples.width >= 512"
    """
    from arot_assets.declarations import load_declarations
    from arot_assets.project import sql_folder
    from arot_assets.subsets.load import load_project

    declared = load_declarations().dataset(dataset)
    folder = sql_folder()
    project = load_project(folder)
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise click.ClickException(f"'{name}' cannot be a name; for example '{proposed_name(name) or 'my_subset'}'")
    taken = project.models.get(name)
    if taken is not None or name in project.broken:
        at = taken.path if taken is not None else project.broken[name].path
        raise click.ClickException(f"'{name}' is already a SQL model: edit {at}, or choose another name")
    whole = [table.name for table in declared.medium.tables][
        -1:
    ]  # the others have several rows a sample, as have its metrics
    known = ["samples", *whole, *(declared.metrics if not whole else ())]
    tables = list(dict.fromkeys(table for text in conditions for table in _tables(text, dataset, known)))
    path = folder / "models" / "subsets" / f"{name}.sql"
    joins = "".join(JOIN.format(dataset=dataset, table=table) for table in tables if table != "samples")
    steps = "".join(f"    and {_step(text)}\n" for text in conditions)
    click.echo(f"wrote {write_new(path, HEAD.format(dataset=dataset) + joins + STATUS + steps)}")
    if not any(source == dataset for source, _ in project.sources):
        click.echo(f"wrote {_list_tables(folder, dataset, known)}")
    click.echo(f"next: arot explain {name}")


def _tables(condition: str, dataset: str, known: list[str]) -> list[str]:
    """The tables whose columns a condition names.

    Raises:
        click.ClickException: it is no condition, or names a table that the dataset has not.
    """
    import sqlglot
    from sqlglot import exp

    try:
        parsed = sqlglot.parse_one(f"select 1 where {condition}", read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise click.ClickException(f"not a condition: {condition}; write it as in 'cv2.sharpness >= 100'") from error
    named = [column.table for column in parsed.find_all(exp.Column) if column.table]
    for table in named:
        if table not in known:
            raise click.ClickException(
                f"'{dataset}' has no table '{table}'.{did_you_mean(table, known)} Its tables: {', '.join(known)}"
            )
    return named


def _step(condition: str) -> str:
    """The condition as one line of a WHERE: alternatives in brackets."""
    line = " ".join(condition.split())
    return f"({line})" if " or " in f" {line.casefold()} " else line


def _list_tables(folder: Path, dataset: str, tables: list[str]) -> Path:
    """List a dataset's tables as sources, in a file of their own."""
    listed = "".join(f"      - name: {table}\n" for table in ("inventory", *tables, "wide"))
    text = f"version: 2\nsources:\n  - name: {dataset}\n    database: catalog  # for real dbt\n    tables:\n{listed}"
    return write_new(folder / "models" / "sources" / f"{dataset}.yml", text)
