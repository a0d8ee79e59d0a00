"""Takes over collections that mapillary_downloader made, without changing one of its tars."""
