"""The flags and what they may hold; imports no torch, and of utils only config, errors and logs."""
