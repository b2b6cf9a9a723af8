"""The flags and what they may hold; imports no torch, and of utils only errors, files and logs."""
