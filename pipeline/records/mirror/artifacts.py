"""Files that are written beside a study's run by who has neither its lock nor its trials."""

from collections.abc import Mapping

from pipeline.records.mirror.outage import answering
from pipeline.records.mirror.store import Store


def log_texts(store: Store, *, dataset: str, study_uid: str, texts: Mapping[str, str]) -> None:
    """Writes files among the artifacts of a study's own run; nothing where it has none.

    Args:
        store: An open store.
        dataset: Names the experiment.
        study_uid: The study's; where its runs are named with their place too, each copy has them.
        texts: By path.

    Raises:
        StudyError: If the store is away.
    """
    with answering(store.uri):
        found = store.client.get_experiment_by_name(dataset)
        if found is None:
            return
        for run in store.search_runs(found.experiment_id, "tags.role = 'study'"):
            if run.data.tags.get("study_uid", "").partition(" ")[0] == study_uid:
                for path, text in texts.items():
                    store.client.log_text(run.info.run_id, text, path)
