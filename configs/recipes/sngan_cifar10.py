"""SNGAN's residual network on CIFAR-10 (Miyato et al. 2018), without labels, and with them (cGAN-PD: projection).

    ./launch.sh sweep configs/recipes/sngan_cifar10.py --config.dataset_options.path=cifar-10-python.tar.gz

Published: FID 21.7 (paper, 5,000 samples); 16.77 and with labels 10.84 (mimicry: 100,000 steps, batch 64, 50,000
samples against the training set). Cost: 2.84 TFLOP a step, 284 PFLOP in all; 9.4 hours were logged in 2020.
"""


def get_config():
  return {
    "loss": "hinge",
    "dataset": "cifar10",
    "model": "resnet",
    "latent_size": 128,
    "batch_size": 64,
    "n_critic": 5,
    "optimizer_options": {"beta1": 0.0, "beta2": 0.9},
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "schedules": {"generator_rate": {"to": 0.0}, "discriminator_rate": {"to": 0.0}},
    "ema_decay": 0.0,
    "steps": 100_000,
    "probe_every": 500,
    "evaluate_every": 10_000,
    "evaluation_samples": 10_000,
    "checkpoint_every": 5000,
  }


def sweep(s):
  return s.param("conditional", [False, True])
