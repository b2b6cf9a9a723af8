"""From a run's records to its pictures."""
