"""Record what a network responds to each image, in activations and errors."""
