"""The study `mnist_dcgan`."""
