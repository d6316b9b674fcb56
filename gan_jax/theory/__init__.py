"""Exact results that studies and tests compare with: optimal discriminators of Gaussians, and the Dirac-GAN."""
