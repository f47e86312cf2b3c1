"""What a declaration refuses, and what it means."""

import pytest
from pydantic import ValidationError

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.recipes import get_recipe, recipe_names

FIELDS = {"name": "style", "dataset": "demo", "labels": {"from_folder": 1}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {}}, "exactly one of from_folder"),
        ({"labels": {"from_folder": 1, "from_sql": "select 1"}}, "exactly one of from_folder"),
        ({"labels": {"from_folder": 0}}, "greater than or equal to 1"),
        ({"labels": {"from_folder": 1, "classes": ["a"]}}, "at least two different names"),
        ({"labels": {"from_folder": 1, "classes": ["line art", "Line-Art"]}}, "would share columns"),
        ({"split": {"train": 0.9}}, "train \\+ val \\+ test must be 1"),
        ({"promote_if": {"f1": 0.5}}, "unknown figure 'f1'; of classification there are: accuracy"),
        ({"promote_if": {"accuracy": 80}}, "must be between 0 and 1"),
        ({"name": "embedding"}, "already another table of the dataset"),
        ({"l3": [1]}, "Extra inputs are not permitted"),
        ({"recipe": "linear"}, "no recipe 'linear'; there are: convnext-finetune"),
        ({"settings": {"learning_rate": 1}}, "settings.learning_rate: .*Did you mean"),
        ({"settings": {"loss": "mse"}}, "loss 'mse' is not one of task 'classification'"),
        ({"inputs": "pixels", "backbone": "b"}, "needs tables of embeddings"),
        ({"recipe": "convnext-finetune"}, "needs inputs: pixels"),
        ({"recipe": "convnext-finetune", "inputs": "pixels"}, "name an entry of the model catalogue"),
        ({"task": "regression"}, "a regression learns numbers"),
    ],
)
def test_wrong_declarations_say_what_is_wrong(change: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClassifierDeclaration.model_validate(FIELDS | change)


def test_recipes_say_where_they_come_from_and_fit_their_trainer() -> None:
    for name in recipe_names():
        recipe = get_recipe(name)
        assert len(recipe.source) > 60 and recipe.with_settings({"epochs": 3}).epochs == 3


def test_inputs_are_columns_and_the_gate_has_a_default() -> None:
    said = ClassifierDeclaration.model_validate(FIELDS | {"inputs": ["embedding", "clip_b16.vector"]})
    assert said.columns == ("embedding.vector", "clip_b16.vector") and said.tables == ("embedding", "clip_b16")
    assert said.gate == {"macro_f1": 0.8}
    assert ClassifierDeclaration.model_validate(FIELDS | {"promote_if": {}}).gate == {}
