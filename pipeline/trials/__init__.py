"""The record: a trial and a study as plain data, between what decides and what remembers."""
