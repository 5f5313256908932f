"""The page that says what happened."""
