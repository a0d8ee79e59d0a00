"""Item pipelines, one class a file, in the order of settings.ITEM_PIPELINES."""
