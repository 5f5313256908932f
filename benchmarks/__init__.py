"""Side-by-side measurements, one file each; run as `python -m benchmarks.NAME`."""
