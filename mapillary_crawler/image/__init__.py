"""The bytes of one image: whole or not, JPEG, EXIF, XMP, WebP; bytes in, bytes out."""
