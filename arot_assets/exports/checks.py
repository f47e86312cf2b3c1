"""The check of an export: will every trainer see N of N?

Belongs here: declaring the check and what the UI shows of it. Does not belong here: the rules (``rules.py``), reading files back
(``contract.py``).
"""

import dagster as dg

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.steps import SEES, export_path
from arot_assets.failures import fails_in_words
from arot_assets.metadata import markdown_table
from resources.storage import Storage
from resources.tables import Tables

MOST_SHOWN = 50


def training_checks(declaration: ExportDeclaration) -> list[dg.AssetChecksDefinition]:
    """The check of one export, which reads the current version as the trainers' loaders do.

    Args:
        declaration: what the user declared.
    """

    @dg.asset_check(
        asset=dg.AssetKey(export_path(declaration.name)),
        name=SEES,
        description="Every trainer will see each sample with its caption, and nothing else: N of N.",
    )
    @fails_in_words
    def sees(tables: dg.ResourceParam[Tables], storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        from arot_assets.exports.verify import verify

        seen = verify(declaration, tables, storage)
        shown = [{"file": v.subject, "rule": v.rule, "because": v.text} for v in seen.violations[:MOST_SHOWN]]
        return dg.AssetCheckResult(
            passed=seen.whole,
            description=f"trainers will see {seen}",
            metadata={
                "samples": seen.expected,
                "seen": seen.found,
                **({"not as it should be": markdown_table(shown)} if shown else {}),
            },
        )

    return [sees]
