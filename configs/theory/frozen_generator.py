"""A frozen generator, and a discriminator trained from scratch against it (Arjovsky and Bottou 2017).

    ./launch.sh frozen_generator                              # digits, MNIST where its files are, and the ring
    ./launch.sh frozen_generator --full                       # 10 seeds, 4,000 steps as published: for a GPU
    ./launch.sh frozen_generator --config.datasets=ring --config.seeds=8 --out runs/ring-frozen
    ./launch.sh frozen_generator --config.datasets=images --config.pictures=train.zip --out runs/cifar-frozen

Reads configs/theory/frozen_generator.py. The expected result and the run time are in
experiments/studies/frozen_generator.
"""


def get_config():
  return {
    "datasets": ["digits", "mnist", "ring"],
    "mnist_dir": "../shared/data/mnist",  # the folder of its IDX files; without them MNIST is left out
    "pictures": "",  # a folder or zip of pictures, such as CIFAR-10, which the dataset 'images' then is; with a DCGAN
    "stages": [100, 1000, 2500],  # steps after which a copy of the generator is frozen; published: 1, 10, 25 epochs
    "retraining": 1500,  # steps of each fresh discriminator; published: 4,000
    "seeds": 5,
    "width": 128,
    "batch_size": 64,
    "rate": 2e-4,  # of Adam, beta1 0.5
    "lens": "all",  # the losses whose gradient is measured
    "batches": 100,  # batches of noise, from which the distribution of the gradient is estimated
  }
