"""What pyproject.toml cannot say: the library in C may be left out, and no egg has it.

The rest of the distribution is in pyproject.toml.
"""

import sys
import tomllib
from pathlib import Path

from setuptools import Extension, find_packages, setup

# How it is compiled is said there, since a Scrapyd server installs it alone (docs/scrapyd.md).
NATIVE = tomllib.loads(Path("native/pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
EXTENSIONS = [
    Extension(
        each["name"],
        sources=[f"native/{path}" for path in each["sources"]],
        depends=[f"native/{path}" for path in each["depends"]],
        extra_compile_args=each["extra-compile-args"],
        optional=True,  # without it images are decoded, which takes longer
    )
    for each in NATIVE["ext-modules"]
]
PACKAGES = find_packages(include=["mapillary_crawler*"])
# What lies beside the modules, an egg's too: what index.html is made of.
DATA = {"mapillary_crawler.archive.page": ["land.bin", "page.css", "page.js"]}

# A Scrapyd server takes an egg, which is the project alone and of no machine.
if {"bdist_egg", "bdist_uberegg"} & set(sys.argv):
    setup(packages=PACKAGES, package_data=DATA, include_package_data=False)
else:
    setup(
        packages=[*PACKAGES, "jpeg_entropy"],
        package_dir={"jpeg_entropy": "native/jpeg_entropy"},
        package_data={
            "": ["py.typed"],
            "mapillary_crawler.archive.browse": ["static/*.*", "static/pannellum/*"],
            **DATA,
        },
        include_package_data=False,
        ext_modules=EXTENSIONS,
    )
