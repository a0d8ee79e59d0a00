"""Whether a crawl could start on this machine now, part by part, and what to do where not."""
