"""The version of this copy of Perdure. Nothing else."""

__all__ = ["__version__"]

__version__ = "0.1.0"
