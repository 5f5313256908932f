"""What is searched: the space, the driver, its workers and the study."""
