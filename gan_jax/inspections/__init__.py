from gan_jax.inspections import duality, geometry

__all__ = ["duality", "geometry"]
