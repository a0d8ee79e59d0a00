"""From settled rows to a finished collection: tars, manifests, `.meta`; idempotent."""
