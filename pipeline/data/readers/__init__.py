"""Readers of file formats, one each, to labelled images."""
