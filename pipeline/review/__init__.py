"""What is wrong with the data: labels, near-duplicates and classes that cannot be told apart."""
