"""The samples of the studies, for what their answers are held against."""

from tests.studies.conftest import make_sample, make_samples

__all__ = ["make_sample", "make_samples"]
