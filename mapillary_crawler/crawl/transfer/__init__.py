"""How many images are in transfer at once: pure rules, which `extensions/throttle.py` applies."""
