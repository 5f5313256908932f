"""What `evaluate` measured on the test part, beside the version that it measured.

People compare versions by it. The pipeline does not: the champion is chosen before, on the
confirmation part.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.tracking import writer
from pipeline.tracking.store import Store
from pipeline.tracking.trial_runs import now_ms

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def log_test(
    store: Store, version: "ModelVersion", test: Mapping[str, Mapping[str, float]]
) -> None:
    """Logs what a version showed on the test part: metrics of its run and model, and its tags.

    Metrics are `test_accuracy`, `test_accuracy_low` and `_high` (95% interval) and so on, and
    `test_n`, the number of test images; tags are `test.accuracy` and so on, and `test.n`.

    Args:
        store: An open store.
        version: The version, with a run.
        test: As in `models.Candidate`.
    """
    from mlflow.entities import Metric

    run = store.client.get_run(version.run_id)
    figures = _test_figures(test)
    changed = {name: v for name, v in figures.items() if run.data.metrics.get(name) != v}
    if run.info.lifecycle_stage == "active":  # Not in the trash, where nothing can be logged.
        outputs = run.outputs.model_outputs if run.outputs else []
        model_id = outputs[0].model_id if outputs else None
        points = [Metric(name, v, now_ms(), 0, model_id=model_id) for name, v in changed.items()]
        writer.log(store.client, version.run_id, metrics=points)
    tags = {f"test.{name}": str(one["value"]) for name, one in test.items()}
    tags |= {"test.n": f"{figures['test_n']:.0f}"} if test else {}
    for name, text in tags.items():
        if version.tags.get(name) != text:
            store.client.set_model_version_tag(version.name, version.version, name, text)


def _test_figures(test: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, one in test.items():
        figures |= {
            f"test_{name}": one["value"],
            f"test_{name}_low": one["low"],
            f"test_{name}_high": one["high"],
            "test_n": float(one["n"]),
        }
    return figures
