"""What is known exactly: optimal discriminators of Gaussians, and the Dirac-GAN. Studies and tests compare with it."""
