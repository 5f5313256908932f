"""Every entry of the table is complete; the published hashes are well-formed."""

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.datasets import DATASETS
from pipeline.data.labelled import check_labelled

PUBLIC = {name: spec.public for name, spec in DATASETS.items() if spec.public}


@pytest.mark.parametrize("name", DATASETS)
def test_says_what_it_is_and_on_what_terms(name):
    assert re.fullmatch("[a-z0-9_]+", name)
    assert DATASETS[name].title
    assert DATASETS[name].license


@pytest.mark.parametrize("name", PUBLIC)
class TestEveryPublicDataset:
    def test_its_hashes_are_well_formed_and_different(self, name):
        public = PUBLIC[name]
        files = [*public.files, *([public.archive] if public.archive else [])]
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in files)
        assert all(file.size_bytes > 0 for file in files)
        assert len({file.sha256 for file in files}) == len({file.name for file in files})

    def test_it_has_an_official_address_that_ends_in_a_slash(self, name):
        addresses = [*PUBLIC[name].addresses, *PUBLIC[name].archive_addresses]
        assert addresses
        assert all(re.fullmatch("https?://.*/", address) for address in addresses)


def test_digits_are_scaled_to_the_whole_byte():
    from sklearn.datasets import load_digits

    data = DATASETS["digits"].read(None, {}, Path())
    check_labelled(data)
    assert data.images.shape == (1797, 8, 8)
    assert (data.images.min(), data.images.max()) == (0, 255)
    assert set(data.parts) == {"train"}
    grey_levels = load_digits().images
    np.testing.assert_array_equal(data.images[grey_levels == 8], 128)  # 127.5, to even
    np.testing.assert_array_equal(data.images[grey_levels == 3], 48)  # 47.8
    assert data.labels[:10].tolist() == list(range(10))
