"""The commands of the project: `scrapy <command> -h`."""
