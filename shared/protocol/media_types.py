"""The media type of a file name. One table, because those of Python and of machines differ.

Sources: https://www.iana.org/assignments/media-types; where it has none, Debian's mime.types.
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "application/octet-stream"
IMAGES: Final = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
"""The types that apps show: every browser draws them and runs no code in them."""

_TABLE: Final = """
image/apng apng
image/avif avif
image/bmp bmp dib
image/dng dng
image/gif gif
image/heic heic
image/heif heif
image/jp2 jp2
image/jpeg jpg jpeg jpe jfif pjpeg pjp
image/jxl jxl
image/png png
image/svg+xml svg
image/tiff tif tiff
image/vnd.adobe.photoshop psd
image/vnd.djvu djvu
image/vnd.microsoft.icon ico
image/webp webp
video/3gpp 3gp
video/3gpp2 3g2
video/matroska mkv
video/mp2t m2ts mts
video/mp4 mp4 m4v
video/mpeg mpg mpeg
video/ogg ogv
video/quicktime mov qt
video/webm webm
video/x-flv flv
video/x-ms-wmv wmv
video/x-msvideo avi
audio/aac aac
audio/aiff aif aiff
audio/amr amr
audio/flac flac
audio/matroska mka
audio/midi mid midi
audio/mp4 m4a m4b
audio/mpeg mp3
audio/ogg ogg oga opus spx
audio/wav wav
audio/webm weba
audio/x-caf caf
audio/x-ms-wma wma
text/calendar ics
text/css css
text/csv csv
text/html html htm
text/javascript js mjs
text/markdown md markdown
text/plain txt text log conf cfg ini nfo
text/tab-separated-values tsv
text/vcard vcf
text/vtt vtt
text/x-python py
message/rfc822 eml
application/epub+zip epub
application/geo+json geojson
application/gpx+xml gpx
application/gzip gz tgz
application/java-archive jar
application/json json
application/jsonl jsonl
application/msword doc dot
application/pdf pdf
application/pgp-keys asc
application/postscript ps eps
application/rtf rtf
application/sql sql
application/toml toml
application/vnd.android.package-archive apk
application/vnd.apple.numbers numbers
application/vnd.apple.pages pages
application/vnd.debian.binary-package deb
application/vnd.google-earth.kml+xml kml
application/vnd.microsoft.portable-executable exe dll
application/vnd.ms-excel xls
application/vnd.ms-outlook msg
application/vnd.ms-powerpoint ppt
application/vnd.oasis.opendocument.graphics odg
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.rar rar
application/vnd.sqlite3 sqlite sqlite3 db
application/vnd.visio vsd
application/wasm wasm
application/x-7z-compressed 7z
application/x-apple-diskimage dmg
application/x-bzip2 bz2 tbz2
application/x-iso9660-image iso
application/x-mobipocket-ebook mobi
application/x-msi msi
application/x-pem-file pem
application/x-rpm rpm
application/x-sh sh
application/x-subrip srt
application/x-tar tar
application/x-tex tex
application/x-xz xz txz
application/xml xml
application/yaml yaml yml
application/zip zip
application/zstd zst
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
model/gltf-binary glb
model/obj obj
model/step step stp
model/stl stl
"""
_TYPES: Final = {
    extension: type
    for type, *extensions in map(str.split, _TABLE.strip().splitlines())
    for extension in extensions
}


def media_type(name: str) -> str:
    """Return the media type of a file name, by its last extension.

    So `photo.jpg.gz` is an archive, not a picture. Case is ignored, and so are dots and blanks at
    the end, which Windows removes; `.png` alone is a name without an extension.
    """
    stem, _, extension = name.rstrip(". ").rpartition(".")
    return _TYPES.get(extension.lower(), UNKNOWN) if stem.strip(". ") else UNKNOWN
