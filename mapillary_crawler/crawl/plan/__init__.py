"""What a crawl would bring: listed, sampled, estimated, and kept for the crawl itself."""
