"""The method in plain torch; `fast` makes it faster, `training` trains it. Imports utils."""
