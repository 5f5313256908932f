"""Five hundred folders: every file is used, left out for a reason, or all of them are refused."""

import pytest
from PIL import Image

from pipeline.data import formats
from pipeline.errors import PipelineError
from tests.data.readers.random_layouts import make_layout
from tests.data.readers.section import find_images

NUM_LAYOUTS = 500


@pytest.fixture
def png(tmp_path, monkeypatch):
    """One pixel; and no HEIC here, whatever is installed."""
    monkeypatch.setattr("pipeline.data.formats.decoders", lambda: formats.FORMATS)
    Image.new("L", (1, 1)).save(tmp_path / "pixel.png")
    return tmp_path / "pixel.png"


def outcome_of(layout):
    """What becomes of each file, in the maker's terms."""
    labels = layout.labels or None
    found = find_images(layout.root, parts=layout.parts, labels=labels)
    used = {e.image.name: (e.part, e.class_name) for e in found.entries}
    left_out = {
        name: reason.text for reason, names in found.left_out.names.items() for name in names
    }
    assert len(used) == len(found.entries)
    assert len(left_out) == found.left_out.total()
    return used, left_out, found


def test_every_file_is_used_left_out_with_its_reason_or_all_is_refused(tmp_path, png):
    num_refused = 0
    for seed in range(NUM_LAYOUTS):
        layout = make_layout(tmp_path / str(seed), png, seed)
        if layout.refused:
            num_refused += 1
            with pytest.raises(PipelineError):
                pytest.fail(f"{seed}: {layout.refused}: {outcome_of(layout)[2].text}")
            continue
        used, left_out, found = outcome_of(layout)
        assert used == layout.used, seed
        assert left_out == layout.left_out, seed
        assert set(found.class_names) == {name for _, name in layout.used.values()}, seed
    assert 80 < num_refused < 200
