"""A local Graph API, image CDN and archive.org for demo, tests and benchmarks."""

from .catalogue import Catalogue
from .process import Sandbox

__all__ = ["Catalogue", "Sandbox"]
