"""The Dirac-GAN under every loss, every penalty and every method: does it converge, as its eigenvalues say?

    ./launch.sh dirac                                       # about a minute on 2 slow cores, nearly all of it compiling
    ./launch.sh dirac --config.generator_rate=0.5 --config.discriminator_rate=0.5 --out runs/dirac-fast

Writes runs/dirac/: losses.png, penalties.png, methods.png (vector fields and trajectories), table.md, table.csv.
Expected (Mescheder et al. 2018): no loss converges by itself; simultaneous descent spirals out, alternating circles.
R1, R2, instance noise, consensus, unrolling and extragradient converge; penalties around slope 1 and clipping do not.
"""

LOSSES = [
  "minimax",
  "non_saturating",
  "non_saturating_smoothed",
  "least_squares",
  "least_squares_probabilities",
  "wasserstein",
  "hinge",
  "energy_margin",
  "relativistic",
  "relativistic_zero_sum",
  "relativistic_least_squares",
  "relativistic_least_squares_zero_sum",
  "relativistic_hinge",
  "relativistic_hinge_zero_sum",
  "relativistic_all_pairs",
  "relativistic_average",
  "relativistic_average_least_squares",
  "relativistic_average_hinge",
  "alpha_loss",
  "alpha_loss_dual",
  "alpha_loss_dual_non_saturating",
  "cumulant",
  "f_gan_kl",
  "f_gan_kl_practical",
  "f_gan_reverse_kl",
  "f_gan_reverse_kl_practical",
  "f_gan_pearson",
  "f_gan_pearson_practical",
  "f_gan_neyman",
  "f_gan_neyman_practical",
  "f_gan_squared_hellinger",
  "f_gan_squared_hellinger_practical",
  "f_gan_jeffreys",
  "f_gan_jeffreys_practical",
  "f_gan_jensen_shannon",
  "f_gan_jensen_shannon_practical",
  "f_gan_weighted_jensen_shannon",
  "f_gan_weighted_jensen_shannon_practical",
  "f_gan_gan",
  "f_gan_gan_practical",
  "f_gan_alpha_above_one",
  "f_gan_alpha_above_one_practical",
  "f_gan_alpha_below_one",
  "f_gan_alpha_below_one_practical",
  "f_gan_total_variation",
  "f_gan_total_variation_practical",
]

PENALTIES = [
  "r1",
  "r1_full",
  "r2",
  "r2_full",
  "r1_r2",
  "r1_r2_full",
  "r1_finite_difference",
  "r2_finite_difference",
  "gradient_penalty",
  "gradient_penalty_one_sided",
  "gradient_penalty_zero_centred",
  "dragan",
  "max_gradient",
  "logit_drift",
  "lecam",
  "zcr",
  "weight_decay",
  "orthogonal",
  "orthonormal",
]


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
  return s.chain(
    s.product(s.fixed(panel="losses"), s.param("loss", LOSSES)),
    # One program for all of them: the sum of all penalties, of which each run gives a weight to one.
    s.product(
      s.fixed(panel="penalties", penalty="+".join(PENALTIES), penalty_weight=0.0),
      s.param("penalty_weights", [{name: 0.5} for name in PENALTIES]),
    ),
    s.product(penalised, s.fixed(penalty="r1", penalty_every=4, order="generator_first")),
    s.product(penalised, s.fixed(penalty="bcr", augmentation="jitter")),
    s.product(
      s.fixed(panel="penalties", generator_penalty_weight=0.5),
      s.param("generator_penalty", ["weight_decay", "zcr_generator"]),
    ),
    s.product(
      s.fixed(panel="penalties", loss="wasserstein", weight_constraint="clip"), s.param("clip_value", [1.0, 0.3])
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
      s.param("beta1", [-0.5, 0.5]),
    ),
    s.product(method, s.param("optimizer", ["optimistic_sgd", "rmsprop", "adam", "optimistic_adam"])),
    s.product(method, s.fixed(method="extragradient"), s.param("optimizer", ["sgd", "adam"])),
    s.product(method, s.fixed(method_weight=0.5), s.param("method", ["consensus", "symplectic"])),
    s.product(method, s.fixed(unroll_rate=0.2, unroll_steps=5), s.param("unroll_gradient", ["through", "stopped"])),
    s.product(method, s.fixed(lookahead_every=5), s.param("order", ["simultaneous", "generator_first"])),
  )
