"""The study that params.yaml describes, as it is in the store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.bases.table import NO_BASE
from pipeline.config import load_section
from pipeline.errors import ConfigError, PipelineError, StudyError
from pipeline.features.manifest import Cuts, read_manifest
from pipeline.losses import RESTORE
from pipeline.plan_record import PLAN_FILE, planned_epochs, planned_views
from pipeline.records.storage import has_storage, open_storage, sharing_checkout
from pipeline.records.studies import find_study, known_uids, trial_records
from pipeline.search.params import StudyParams, embedded_space, load_study
from pipeline.search.sections import SearchParams
from pipeline.search.space import SearchSpace
from pipeline.search.warm_start import fitting
from pipeline.split_record import SplitRecord, read_split
from pipeline.trials.identity import Identity, study_identity
from pipeline.trials.ranking import num_finished
from pipeline.trials.study import archived_name, exported_study
from pipeline.workspace import stamp_file

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study


@dataclass(frozen=True, kw_only=True)
class DescribedStudy:
    """What params.yaml asks for under the name of a study.

    Attributes:
        name: Below `studies` in params.yaml.
        study_name: As Optuna calls it.
        hashes: Of what makes its trials comparable.
        params: Its section of params.yaml.
        search: The section `search`.
        space: What its trials can be, with the cuts that were embedded.
        cuts: Those, as the manifest has them.
        split: The data set and its division.
    """

    name: str
    study_name: str
    hashes: Identity
    params: StudyParams
    search: SearchParams
    space: SearchSpace
    cuts: Cuts
    split: SplitRecord

    @property
    def identity(self) -> str:
        """Hash of everything that makes its trials comparable, its space among it."""
        return self.hashes.whole


@dataclass(frozen=True, kw_only=True)
class CurrentStudy(DescribedStudy):
    """The same, and in the store.

    Attributes:
        study: Optuna's.
    """

    study: Study


def load_current(name: str, *, root: Path) -> CurrentStudy:
    """Opens the study that params.yaml describes under a name.

    Raises:
        ConfigError: If params.yaml has no such study, or cannot be used.
        StudyError: If it has not been searched yet or was lost, or params.yaml, the data or the
            features have changed since.
    """
    described = describe(name, root=root)
    search, study_name = described.search, described.study_name
    storage = open_storage(root, search.storage) if has_storage(root, search.storage) else None
    study = find_study(storage, study_name) if storage else None
    if study is None:
        lost = lost_study(root, name, study_name)
        if lost:
            raise StudyError(f"{study_name}: {lost}.")
        raise StudyError(f"There is no study {study_name!r} yet. Run `dvc repro` first.")
    if study.user_attrs.get("identity") != described.identity:
        raise StudyError(
            f"{study_name} is not the study that params.yaml describes: its space, its training or "
            f"its data have changed. Run `dvc repro search@{name}` first, which starts a new one."
        )
    return CurrentStudy(**vars(described), study=study)


def describe(name: str, *, root: Path) -> DescribedStudy:
    """Returns the study that params.yaml, the data and the features describe.

    Raises:
        ConfigError: If params.yaml has no such study, or cannot be used.
        DataIntegrityError: If the data or the features are not there yet.
    """
    (params, space), search = load_study(name), load_section(SearchParams, "search")
    split = read_split(root)
    search = settled_search(search, params.base, space, split, root=root)
    manifest = read_manifest(root / "data/features" / params.base)
    space = embedded_space(params, space, search, manifest.cuts)
    identity = study_identity(
        space.describe(),
        objective=search.objective,
        epochs=search.num_epochs,
        seed=search.seed,
        data_sha256=split.sha256["train"],
        manifest=manifest,
    )
    return DescribedStudy(
        name=name,
        study_name=f"{split.dataset}-{name}",
        hashes=identity,
        params=params,
        search=search,
        space=space,
        cuts=manifest.cuts,
        split=split,
    )


def settled_search(
    search: SearchParams, base: str, space: SearchSpace, split: SplitRecord, *, root: Path
) -> SearchParams:
    """Returns the section `search` with the epochs and rungs that `auto` means for a study.

    Args:
        search: The section.
        base: Of the study.
        space: Its space.
        split: The data set and its division.
        root: The repository.

    Raises:
        ConfigError: If the plan is missing that says how long a training on the base is.
    """
    file = root / PLAN_FILE
    if search.epochs == "auto" and base != NO_BASE and not file.is_file():
        raise ConfigError(f"No {PLAN_FILE} here. Run the stage `plan` first.")
    written = {**space.defaults, **space.settings}
    num_views = 0 if written.get("views") == "none" else planned_views(file, base)
    least = written.get("images_per_epoch", 1)
    return search.settled(
        epochs=planned_epochs(file, base),
        num_train=split.counts["train"].images * (1 + num_views),
        images_per_epoch=least if isinstance(least, int) else 1,  # It is searched.
    )


def num_kept(study: Study, described: DescribedStudy) -> int | None:
    """Returns how many finished trials the next search begins with, if not with this study's.

    Args:
        study: That has the name now.
        described: What params.yaml describes under the name.

    Returns:
        None if the next search goes on with this study; else the number of those that are taken
        over, or of the put-aside study that it goes on with.
    """
    if study.user_attrs.get("identity") == described.identity:
        return None
    aside = find_study(study._storage, archived_name(described.study_name, described.identity))
    if aside is not None:
        return num_finished(trial_records(aside))
    if not described.hashes.can_take_over(study.user_attrs.get("comparable")):
        return 0
    return num_finished(fitting(trial_records(study), described.space, source=study.study_name))


def own_study(
    root: Path, storage: BaseStorage, described: str, *, name: str, url: str
) -> Study | None:
    """Returns this checkout's study, also where others keep theirs in the same store, or None.

    One that another checkout made under the same name, from other data or params, is not it. That
    has put this checkout's aside, where `results/NAME/study.json` finds it by its uid.

    Args:
        root: The repository.
        storage: The study store.
        described: The study's name there, `DATASET-NAME`.
        name: Below `studies`.
        url: `search.storage`.
    """
    study, here = find_study(storage, described), sharing_checkout(root, url)
    if study is None or here in (None, study.user_attrs.get("made_in", here)):
        return study
    exported = exported_study(root, name)
    wanted = exported.identity if exported is not None else None
    with suppress(PipelineError):  # As params.yaml is now, or the features are not made.
        wanted = describe(name, root=root).identity
    if wanted in (None, study.user_attrs.get("identity")):
        return study
    aside = known_uids(storage).get(exported.study_uid) if exported is not None else None
    return find_study(storage, aside) if aside else None


def lost_study(root: Path, name: str, study_name: str) -> str | None:
    """Returns what to say of a study that its store does not hold; None if it never ran here.

    Args:
        root: The repository.
        name: Name of the study below `studies` in params.yaml.
        study_name: As Optuna calls it; an export of another one, of other data, tells nothing.
    """
    exported = exported_study(root, name)
    if exported is None or exported.study_name != study_name:
        return None
    stamp_file(root, "search", name).unlink(missing_ok=True)
    return f"the study is lost, but results/{name}/study.json is there: {RESTORE}"
