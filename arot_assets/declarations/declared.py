"""The collection of valid declarations, and what is left out of it.

Belongs here: finding declarations, comparing them with each other, with the metrics and with the SQL project. Does not belong
here: any kind (``kinds/``), reading files (``read.py``, ``load.py``).
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.datasets.samples import samples_schema
from arot_assets.declarations.dataset import Dataset
from arot_assets.declarations.errors import DeclarationError, Fault, error_at
from arot_assets.declarations.kinds import kind_of
from arot_assets.errors import did_you_mean
from arot_assets.metrics.registry import MetricFileError, get_metric
from arot_assets.metrics.takes import faults_of_inputs
from arot_assets.yaml_lines import YamlFile
from resources.errors import ArotError

D = TypeVar("D", bound=BaseModel)
SEES = {"image": "looks at images", "frames": "looks at the frames of films", "sound": "hears the sound of films"}
"""What a metric does with a file, by the kind of what it takes."""
ROW_IS = {"frames": "frame", "sound": "film"}
"""What a row is of a metric that takes this of films."""


class Declarations:
    """The valid declarations, and what is left out.

    Attributes:
        files: name -> the file that declares it, for error messages.
        faults: all faults found so far.
        left_out: dataset -> its metrics that are left out -> why.
        unread: files whose declaration is left out and does not even tell its name.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, BaseModel] = {}
        self.files: dict[str, YamlFile] = {}
        self.faults: list[Fault] = []
        self.left_out: dict[str, dict[str, ArotError]] = {}
        self.unread: list[Path] = []

    def all(self) -> list[BaseModel]:
        """Every declaration, in the order of the files."""
        return list(self._by_name.values())

    def of(self, model: type[D]) -> dict[str, D]:
        """All declarations of a class, by name."""
        return {name: one for name, one in self._by_name.items() if isinstance(one, model)}

    @property
    def datasets(self) -> dict[str, Dataset]:
        """The datasets, by name."""
        return self.of(Dataset)

    def get(self, model: type[D], name: str) -> D:
        """The declaration of this class and name.

        Raises:
            DeclarationError: there is none, or it has a fault.
        """
        found = self._by_name.get(name)
        if isinstance(found, model):
            return found
        fault, kind = self.fault(name), kind_of(model)
        if fault is not None:
            raise DeclarationError(str(fault)) from fault
        there = self.of(model)
        if found is not None:
            other, known = kind_of(type(found)), ", ".join(sorted(there))
            raise DeclarationError(
                f"'{name}' is no {kind.noun} but of type {other.type}, for `arot {other.command} {name}`"
                + (f"; declared as {kind.noun}: {known}" if known else "")
            )
        hint = did_you_mean(name, there)
        raise DeclarationError(f"no {kind.noun} '{name}'.{hint} To declare it: {kind.remedy(name)}")

    def dataset(self, name: str) -> Dataset:
        """The dataset of this name.

        Raises:
            DeclarationError: it is not declared, or its declaration has a fault.
        """
        return self.get(Dataset, name)

    def before(self, one: D) -> list[D]:
        """The other declarations of its class whose files come before its own."""
        same = list(self.of(type(one)).values())
        return same[: next(index for index, other in enumerate(same) if other is one)]

    def tables_of(self, dataset: str) -> dict[str, Collection[str]]:
        """The tables that others add to a dataset (scores, captions), with what each is made from."""
        found: dict[str, Collection[str]] = {}
        for one in self.all():
            kind = kind_of(type(one))
            found |= (
                kind.tables(one) if getattr(one, "dataset", None) == dataset else kind.tables_elsewhere(one, dataset)
            )
        return found

    def add(self, name: str, one: BaseModel, file: YamlFile) -> None:
        """Add a declaration, unless its name is taken: then it is not clear which one is meant, and both are left out."""
        other = self.files.setdefault(name, file)
        if other is file:
            self._by_name[name] = one
        else:
            text = f"{file.path}:1: '{name}' is also declared in {other.path}; rename one of them"
            self.leave_out(name, DeclarationError(text))

    def check(self) -> None:
        """Leave out declarations that cannot be used beside the others, and then those that depended on them."""
        found = {name: kind_of(type(one)).fault(one, self) for name, one in self._by_name.items()}
        faults = {name: fault for name, fault in found.items() if fault is not None}
        # first what others depend on: of a misspelt metric nothing else is to be said
        of_datasets = {name: fault for name, fault in faults.items() if name in self.datasets}
        for name, fault in (of_datasets or faults).items():
            self.leave_out(name, fault)
        if faults:
            self.check()
        else:
            self._share_models()

    def check_metrics(self) -> None:
        """Import the file of every declared metric; a metric with a fault is left out of its datasets.

        Whatever needs such a metric is left out too.
        """
        for name in sorted({name for dataset in self.datasets.values() for name in dataset.metrics}):
            try:
                get_metric(name)
            except MetricFileError as error:
                self._leave_metric_out(name, error, self.datasets)
        for name in self.datasets:
            self._check_inputs(name)
        self.check()

    def _share_models(self) -> None:
        """Tell each classifier which other datasets list it among their metrics; one that cannot score is left out there."""
        classifiers = self.of(ClassifierDeclaration)
        elsewhere: dict[str, dict[str, Dataset]] = {name: {} for name in classifiers}
        for dataset in self.datasets.values():
            for name in dataset.scored_by:
                why = self._why_not_scored(dataset, name, classifiers.get(name))
                if why is None:
                    elsewhere[name][dataset.name] = dataset
                elif name not in self.left_out.get(dataset.name, {}):
                    self.faults.append(Fault(f"metric {name}", why))
                    self.left_out.setdefault(dataset.name, {})[name] = why
        for name, one in classifiers.items():
            one.set_elsewhere(elsewhere[name])

    def _why_not_scored(self, dataset: Dataset, name: str, one: ClassifierDeclaration | None) -> ArotError | None:
        """Why a classifier cannot score a dataset that lists it; None if it can."""
        if one is None:
            return self.fault(name)
        file = self.files[dataset.name]
        if one.dataset == dataset.name:
            text = (
                f"'{name}' is a classifier of '{dataset.name}', which has its scores anyway; remove it from the metrics"
            )
            return error_at(file, ("attributes", "metrics"), text)
        lacking = [table for table in one.tables if table not in dataset.metrics]
        if not lacking:
            return None
        every = [*dataset.metrics, *lacking, *dataset.scored_by]
        text = (
            f"'{name}' scores from {' and '.join(lacking)}, which '{dataset.name}' has not; write "
            f"`metrics: [{', '.join(every)}]`"
        )
        return self.left_out.get(dataset.name, {}).get(lacking[0]) or error_at(file, ("attributes", "metrics"), text)

    def _check_inputs(self, dataset: str) -> None:
        """Leave out the metrics of stored columns that miss one of them, and then those that are made from these."""
        declaration = self.datasets[dataset]
        metrics = {name: get_metric(name) for name in declaration.metrics}
        samples = samples_schema(declaration.medium).names
        faults = dict(faults_of_inputs(dataset, metrics, samples, self.tables_of(dataset)))
        seen = {name: one.want for name, one in metrics.items() if one.rows is None}
        for metric, want in seen.items():
            if want.kind not in declaration.medium.gives:
                faults[metric] = f"metric '{metric}' {SEES[want.kind]}; '{dataset}' has {declaration.medium.name}s"
        for metric, one in metrics.items():
            for table in one.rows.tables if one.rows is not None else ():
                if declaration.medium.tables and table in seen and seen[table].kind != "image":
                    faults[metric] = (
                        f"metric '{metric}' takes '{table}', which has a row for each {ROW_IS[seen[table].kind]}; take tables"
                        " with a row for each still"
                    )
        for metric, text in faults.items():
            error = error_at(self.files[dataset], ("attributes", "metrics"), text)
            self._leave_metric_out(metric, error, [dataset])
        if faults:
            self._check_inputs(dataset)

    def check_subsets(self, subsets: Collection[str], broken: Mapping[str, ArotError]) -> None:
        """Compare the exports with the SQL project; exports whose model does not exist or has a fault are left out.

        Args:
            subsets: names of the models that are tagged ``subset``.
            broken: what is left out of the SQL project, and why.
        """
        for name, one in list(self._by_name.items()):
            for subset, field in kind_of(type(one)).subsets(one):
                if subset in broken:
                    self.leave_out(name, broken[subset])
                elif subset not in subsets:
                    text = f"no SQL model '{subset}' is tagged `subset`.{did_you_mean(subset, subsets)}"
                    self.leave_out(name, error_at(self.files[name], ("attributes", field), text))

    def require_whole(self, dataset: str) -> None:
        """Raise an error if some of a dataset's metrics are left out.

        Raises:
            DeclarationError: one of its metrics is left out.
        """
        errors = self.left_out.get(dataset, {}).values()
        if errors:
            raise DeclarationError("\n".join(map(str, errors)))

    def problems(self) -> list[str]:
        """One line per fault, however much is left out because of it."""
        return list(dict.fromkeys(str(fault.error) for fault in self.faults))

    def fault(self, name: str) -> ArotError | None:
        """Why a name is left out; None if it is not."""
        return next((fault.error for fault in self.faults if fault.name == name), None)

    def leave_out(self, name: str, error: ArotError) -> None:
        """Remove a declaration that has a fault."""
        self.faults.append(Fault(name, error))
        self._by_name.pop(name, None)

    def _leave_metric_out(self, metric: str, error: ArotError, datasets: Collection[str]) -> None:
        """Take a metric away from some datasets."""
        self.faults.append(Fault(f"metric {metric}", error))
        for name, dataset in self.datasets.items():
            if metric in dataset.metrics and name in datasets:
                rest = [m for m in dataset.metrics if m != metric]
                self._by_name[name] = dataset.model_copy(update={"metrics": rest})
                self.left_out.setdefault(name, {})[metric] = error
