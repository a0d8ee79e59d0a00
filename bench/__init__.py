"""Measurements that anyone can repeat, side by side with what a user would pick instead.

    python -m bench            the comparison (`make bench`); --quick takes a few minutes
    python -m bench.profile    where a crawl spends its time (`make profile`)
    python -m bench.sealing    how fast a day becomes a tar, step by step
    python -m bench.metadata   what EXIF and XMP cost an image

Everything that is measured works against the sandbox, on this machine. Results, and the
environment of the other tool, lie in bench/results.
"""
