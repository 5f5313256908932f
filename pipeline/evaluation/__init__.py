"""What a classifier is judged by, and how sure that is."""
