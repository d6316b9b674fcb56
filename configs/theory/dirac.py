"""The Dirac-GAN under every loss, penalty and method: whether it converges, compared with its eigenvalues.

    ./launch.sh dirac                                       # about a minute on 2 slow cores, nearly all of it compiling
    ./launch.sh dirac --config.generator_rate=0.5 --config.discriminator_rate=0.5 --out runs/dirac-fast

Writes runs/dirac/: losses.png, penalties.png, methods.png (vector fields and trajectories), table.md, table.csv.
Expected (Mescheder et al. 2018): no loss converges by itself; simultaneous descent spirals out, alternating circles.
R1, R2, instance noise, consensus, unrolling and extragradient converge; penalties around slope 1 and clipping do not.
"""


def get_config():
  return {
    "loss": "minimax",
    "optimizer": "sgd",
    "order": "simultaneous",
    "generator_rate": 0.2,
    "discriminator_rate": 0.2,
    "batch_size": 4,
    "latent_size": 1,
    "ema_decay": 0.0,
    "steps": 500,
  }


def sweep(s):
  penalised = s.fixed(panel="penalties", penalty_weight=0.5)
  method = s.fixed(panel="methods")
  penalties = s.every("penalty")
  of_images = [name for name in s.every("generator_penalty") if name not in penalties]
  weighted = ["consensus", "symplectic"]
  unweighted = [name for name in s.every("method") if name not in ("gradient", *weighted)]
  adaptive = [name for name in s.every("optimizer") if name not in ("sgd", "momentum")]
  return s.chain(
    s.product(s.fixed(panel="losses"), s.param("loss", s.every("loss"))),
    # One program for all of them: the sum of all penalties, of which all but one have weight 0 in each run.
    s.product(
      s.fixed(panel="penalties", penalty="+".join(penalties), penalty_weight=0.0, augmentation="jitter"),
      s.param("penalty_weights", [{name: 0.5} for name in penalties]),
    ),
    s.product(penalised, s.fixed(penalty="r1", penalty_every=4, order="generator_first")),
    s.product(
      s.fixed(panel="penalties", generator_penalty_weight=0.5),
      s.param("generator_penalty", ["weight_decay", *of_images]),
    ),
    s.product(
      s.fixed(panel="penalties", loss="wasserstein", weight_constraint="clip"),
      s.param("weight_constraint_options.bound", [1.0, 0.3]),
    ),
    s.product(s.fixed(panel="penalties", weight_constraint="spectral")),
    s.product(s.fixed(panel="penalties", instance_noise=True, instance_noise_scale=0.7, batch_size=32)),
    s.product(method, s.param("order", ["simultaneous", "discriminator_first", "generator_first"])),
    s.product(method, s.fixed(order="generator_first", n_critic=5)),
    s.product(method, s.fixed(order="generator_first"), s.param("fakes", ["same_noise", "same_images"])),
    s.product(
      method,
      s.fixed(optimizer="momentum"),
      s.param("order", ["simultaneous", "generator_first"]),
      s.param("optimizer_options.beta1", [-0.5, 0.5]),
    ),
    s.product(method, s.param("optimizer", adaptive)),
    s.product(method, s.param("method", unweighted)),
    s.product(method, s.fixed(method="extragradient", optimizer="adam")),
    s.product(method, s.fixed(method_options={"weight": 0.5}), s.param("method", weighted)),
    s.product(method, s.fixed(unroll_rate=0.2, unroll_steps=5), s.param("unroll_gradient", ["through", "stopped"])),
    s.product(method, s.fixed(lookahead_every=5), s.param("order", ["simultaneous", "generator_first"])),
  )
