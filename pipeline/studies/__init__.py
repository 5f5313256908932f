"""Studies as `params.yaml`, data and features describe them, opened with what belongs to them."""
