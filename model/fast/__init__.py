"""What only makes the method faster, or smaller in memory, behind modules that mean the same."""
