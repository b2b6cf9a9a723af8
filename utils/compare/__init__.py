"""Runs side by side: one table and figures, with mean and spread over seeds."""
