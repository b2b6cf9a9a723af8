"""Training: tasks, the loop, what guards it, and what a run keeps. Imports model and utils."""
