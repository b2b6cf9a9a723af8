"""A run's folder, its records and checkpoints, and resuming it; imports only utils."""
