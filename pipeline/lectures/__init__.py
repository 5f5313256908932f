"""The lectures' claims and techniques, shown on one's own data by the engine of every trial."""
