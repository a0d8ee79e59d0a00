"""How many images are in transfer at once: pure rules, which `throttle.py` applies."""
