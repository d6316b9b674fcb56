"""Names that lead elsewhere, run as a formula or become part of a page, and settings that a begun study is refused with."""

NAMES = (
  # paths
  "../../x", "..", ".", "../" * 60 + "etc/passwd", "/etc/passwd", "/", "~", "~root/x", "a/../../b", "..\\..\\x", "C:\\x",
  "file:///etc/passwd", "CON", "-rf", "--out=/x", ".hidden", "x/", "a/b/c",
  # what ends or splits a name
  "", " ", "a\0b", "a\nb", "a\r\nb", "\t", "x" * 300, "a;touch x", "$(touch x)", "`touch x`", "|touch x", "%00", "%s%s%n",
  # pages, tables and papers
  "<script>alert(1)</script>", "\"onerror=alert(1) x=\"", "'><img src=x onerror=alert(1)>", "javascript:alert(1)",
  "</title></style><svg onload=alert(1)>", "{{ 7*7 }}", "=cmd|' /C calc'!A1", "+1+1", "-1+1", "@SUM(A1)",
  "\\input{/etc/passwd}", "$x^2_& #%~", "\u202egnp.x\u2067", "ä\u0301中😀",
)  # fmt: skip

# What is changed of a study of the ring with hinge and Adam, and the field that the refusal must name.
CHANGES = {
  "loss=minimax": "loss",
  "generator_rate=0.1": "generator_rate",
  "discriminator_rate=0.1": "discriminator_rate",
  "seed=7": "seed",
  "dataset=grid": "dataset",
  "evaluate_every=10": "evaluate_every",
  "batch_size=32": "batch_size",
  "latent_size=3": "latent_size",
  "precision=bfloat16": "precision",
  "model_options.generator_width=9": "model_options.generator_width",
  "model_options.discriminator_width=9": "model_options.discriminator_width",
  "model_options.depth=1": "model_options.depth",
  "optimizer=rmsprop": "optimizer",
  "optimizer_options.beta1=0.9": "optimizer_options.beta1",
  "optimizer_options.beta2=0.9": "optimizer_options.beta2",
  "ema_decay=0.5": "ema_decay",
  "order=simultaneous": "order",
  "n_critic=2": "n_critic",
  "n_gen=2": "n_gen",
  "fakes=same_noise": "fakes",
  "penalty=r1": "penalty",
  "weight_constraint=spectral": "weight_constraint",
  "instance_noise=true": "instance_noise",
  "lookahead_every=5": "lookahead_every",
  "unroll_steps=1": "unroll_steps",
  "head_start=3": "head_start",
  "hold_out=5": "hold_out",
  "steps=10": "steps",
  "probe_every=10": "probe_every",
  "checkpoint_every=10": "checkpoint_every",
}
