"""What all parts of the program share; imports only itself."""
