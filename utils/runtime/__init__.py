"""Where and how the program runs: device, processes, signals, memory; imports only utils."""
