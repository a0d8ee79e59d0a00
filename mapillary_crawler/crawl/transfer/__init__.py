"""How many images are in transfer at once: pure rules, which `crawl/throttle.py` applies."""
