"""What `mlflow models serve` and `mlflow.pyfunc` run: images to classes and probabilities.

Every version's model holds a copy of this module and of those that it imports, `MODULES`, so that
it runs where this project is not installed. The copy is a package of another name, `COPY`, since
MLflow puts it before all others on the path.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import DataIntegrityError
from pipeline.training.image_classifier import ImageClassifier, load_image_classifier

if TYPE_CHECKING:
    from mlflow.models import Model

PACKAGE: Final = Path(__file__).parents[2]
MODULES: Final = (
    "data/__init__.py",
    "data/formats.py",
    "data/images.py",
    "errors.py",
    "records/__init__.py",
    "records/model_registry/__init__.py",
    "records/model_registry/served.py",
    "training/__init__.py",
    "training/image_classifier.py",
)
"""Files of this package that a model's copy is made of."""
CODE: Final = "code"
COPY: Final = "transfer_search_model"
DATA: Final = "data"


class Served:
    """A model as MLflow calls it.

    Args:
        classify: Answers for images.
    """

    def __init__(self, classify: ImageClassifier) -> None:
        self._classify = classify

    def predict(
        self, model_input: object, params: Mapping[str, object] | None = None
    ) -> list[dict[str, object]]:
        """Returns `class` and `probabilities`, by class name, of each image in order.

        Args:
            model_input: As for `ImageClassifier`.
            params: None are known; MLflow passes them.

        Raises:
            MlflowException: With HTTP status 400, if it is nothing that can be answered for.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        try:
            answers = self._classify(model_input)
        except DataIntegrityError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
        return [
            {"class": one.likeliest, "probabilities": dict(one.probabilities)} for one in answers
        ]


def _load_pyfunc(path: str) -> Served:
    """Loads a version's model: what MLflow calls, with the folder `DATA` in the model's.

    Raises:
        DataIntegrityError: If the file is not the one that was registered.
    """
    from mlflow.models import Model

    said: Any = Model.load(str(Path(path).parent)).metadata
    file = Path(path) / "model.keras"
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != said["model_sha256"]:
        raise DataIntegrityError(
            f"{file} must be the file that was registered, sha256 {said['model_sha256']}. "
            f"Received: {found}."
        )
    value_range = said.get("value_range")
    return Served(
        load_image_classifier(
            file, said["class_names"], tuple(value_range) if value_range else None
        )
    )


def serve_with_own_code(described: "Model", folder: Path) -> None:
    """Puts this module in place of the serving of MLflow's Keras flavour, which knows no names.

    Args:
        described: The model as it was saved.
        folder: MLflow's folder of it.
    """
    from mlflow.models.model import MLMODEL_FILE_NAME

    package = folder / CODE / COPY
    for name in MODULES:
        copy = package / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = (PACKAGE / name).read_text(encoding="utf-8")
        copy.write_text(text.replace("from pipeline.", f"from {COPY}."), encoding="utf-8")
    (package / "__init__.py").write_text('"""What serves the model beside it."""\n')
    described.flavors["python_function"] |= {
        "loader_module": f"{COPY}.{__name__.partition('.')[2]}",
        "code": CODE,
        "data": DATA,
    }
    described.save(str(folder / MLMODEL_FILE_NAME))
