"""Folders as the section `fetch` asks for them, with what a test changes."""

from pipeline.data.fetch_params import FetchParams, LabelsParams
from pipeline.data.readers import folder

SECTION = {
    "image_size": "auto",
    "color": "auto",
    "labels": None,
    "parts": "auto",
    "value_range": "format",
}


def _params(root, labels=None, **change):
    table = LabelsParams(file=labels) if isinstance(labels, str) else labels
    # Unchecked: some tests are about what must not get this far.
    return FetchParams.model_construct(path=str(root), **{**SECTION, **change, "labels": table})


def find_images(root, **change):
    return folder.find_images(_params(root, **change))


def read_folder(root, *, scratch, **change):
    return folder.read_folder(_params(root, **change), scratch)
