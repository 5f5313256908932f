"""Decides, from the pictures and this machine, what is embedded."""
