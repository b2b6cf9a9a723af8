"""What a sample is: clips of Gabor stimuli and of videos, and the batches made of them."""
