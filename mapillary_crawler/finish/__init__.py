"""From settled rows to a finished collection: tars, manifests, Internet Archive metadata."""
