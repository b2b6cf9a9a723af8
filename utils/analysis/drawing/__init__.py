"""From what an analysis has computed to its pictures and its page."""
