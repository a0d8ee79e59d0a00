"""A local Graph API, image CDN and archive.org for demo, tests and benchmarks."""
