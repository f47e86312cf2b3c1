"""SQL models as Dagster assets.

Belongs here: the declaration of one asset for each stored model, and what users see of it in the UI. Does not belong
here: building a model (``runner.py``); tests as asset checks (``checks.py``).

The graph comes from the SQL: ``source('demo', 'cv2')`` is a dependency on the asset ``demo/cv2``, ``ref('clean')`` on
``models/clean``. sqlglot parses nothing and no database is opened until a model is built.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.failures import fails_in_words
from arot_assets.made_here import SQL_MODELS, say_once
from arot_assets.names import ascii_word
from arot_assets.subsets.digest import model_version
from arot_assets.subsets.model import Model
from arot_assets.subsets.project import Project
from arot_assets.subsets.steps import model_path, model_upstream
from resources.compute import Compute
from resources.tables import Tables
from resources.warehouse import Warehouse

GROUP = "models"
SUBSET_TAG = "arot/subset"


def model_key(name: str) -> dg.AssetKey:
    """The asset of a SQL model."""
    return dg.AssetKey(list(model_path(name)))


def sql_model_assets(project: Project) -> list[dg.AssetsDefinition]:
    """One asset for each stored model of a project, upstream first.

    The assets need the resources ``compute``, ``tables`` and ``warehouse``.
    """
    return [_asset(project, model) for model in project.models.values() if model.is_stored]


def _asset(project: Project, model: Model) -> dg.AssetsDefinition:
    tags = {SUBSET_TAG: ""} if model.is_subset else {}

    @dg.asset(
        key=model_key(model.name),
        deps=[dg.AssetKey(list(key)) for key in model_upstream(project, model.name)],
        description=_description(project, model),
        group_name=GROUP,
        kinds={"duckdb", "csv" if model.is_seed else "sql"},
        owners=model.config.owners,
        tags={
            **tags,
            **{f"dbt/{word}": "" for word in map(ascii_word, model.config.tags) if word not in ("", "subset")},
        },
        metadata={"file": dg.MetadataValue.text(_relative(project, model.path))},
        automation_condition=WHOLE,
        code_version=model_version(project, model.name),
    )
    @fails_in_words
    def build(
        context: dg.AssetExecutionContext,
        compute: dg.ResourceParam[Compute],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult[None]:
        from arot_assets.subsets.runner import build_model

        say_once(context, compute, SQL_MODELS)
        result = build_model(project, model.name, warehouse, tables)
        context.log.info(
            f"{model.name}: {result.rows:,} rows, "
            + (f"built in {result.seconds:.2f} s" if result.built else "already current, nothing to do")
        )
        return dg.MaterializeResult(metadata=_metadata(result))

    return build


def _metadata(result: Any) -> dict[str, Any]:
    """What the UI shows about a build: rows, columns with lineage, the waterfall, the SQL."""
    columns = [dg.TableColumn(c.name, c.type, c.description or None) for c in result.columns]
    lineage = {
        c.name: [dg.TableColumnDep(asset_key=_table_key(u.schema, u.table), column_name=u.column) for u in c.upstream]
        for c in result.columns
        if c.upstream is not None
    }
    metadata: dict[str, Any] = {
        "dagster/row_count": result.rows,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }
    if result.waterfall is not None:
        total = result.waterfall.total
        metadata["kept_share"] = round(result.waterfall.kept / total, 4) if total else 0.0
        metadata["waterfall"] = dg.MetadataValue.md(result.waterfall.to_markdown())
    if result.waterfall_problem is not None:
        metadata["waterfall_problem"] = result.waterfall_problem
    if result.lineage_problem is not None:
        metadata["lineage_problem"] = result.lineage_problem
    metadata["built"] = result.built
    metadata["seconds"] = round(result.seconds, 3)
    metadata["sql"] = dg.MetadataValue.md(f"```sql\n{result.sql.strip()}\n```")
    return metadata


def _description(project: Project, model: Model) -> str:
    parts = [model.description] if model.description else []
    parts.append(f"{'Seed' if model.is_seed else 'SQL'}: `{_relative(project, model.path)}`")
    return "\n\n".join(parts)


def _relative(project: Project, path: Path) -> str:
    return path.relative_to(project.folder.parent).as_posix()


def _table_key(schema: str, table: str) -> dg.AssetKey:
    return model_key(table) if schema == "main" else dg.AssetKey([schema, table])
