"""The tables of the ledger and their version.

About 300 to 500 bytes an image: metadata lies compressed in slices of a page,
URLs in a side table that is empty once all is settled.
"""

from __future__ import annotations

import sqlite3

from mapillary_crawler.collection.outcome import Outcome, ProjectError
from mapillary_crawler.ledger.records import FORMAT

#: Updates of a finished collection: what the service does not list any more, and what is asked for
#: once more, with what was stored of it before.
_UPDATES = """
    CREATE TABLE vanished (
        number INTEGER PRIMARY KEY REFERENCES images,
        noticed_at INTEGER NOT NULL        -- s since 1970
    );
    CREATE TABLE asked_again (
        number INTEGER PRIMARY KEY REFERENCES images,
        state INTEGER NOT NULL, extension TEXT, sha256_served BLOB, sha256_stored BLOB,
        size INTEGER, piece INTEGER, offset INTEGER, bare TEXT, sha256_jpeg BLOB
    );
"""

#: Parts of a collection that processes of their own work on, each with a ledger of its own.
_SLICES = """
    CREATE TABLE slices (
        number INTEGER PRIMARY KEY,
        cut TEXT NOT NULL,                 -- by which cut: slices of another are none of its
        first_day TEXT NOT NULL,           -- whole days, of which each is in one slice of a cut
        last_day TEXT NOT NULL,
        images INTEGER NOT NULL,           -- listed ones
        merged INTEGER NOT NULL DEFAULT 0  -- its rows are here again: 1; 2: it had not ended
    );
"""

#: One script a version: script n brings a ledger of version n to n + 1.
MIGRATIONS = (
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    -- Listed rows without URLs: JSON lines, zlib; a slice of a Graph page each.
    CREATE TABLE pages (number INTEGER PRIMARY KEY, rows BLOB NOT NULL);

    -- Cursors the listing round has gone through: one seen twice is a loop.
    CREATE TABLE cursors (cursor TEXT PRIMARY KEY) WITHOUT ROWID;

    CREATE TABLE images (
        number INTEGER PRIMARY KEY,        -- in the order of listing
        id TEXT NOT NULL UNIQUE,
        page INTEGER,                      -- slice in pages, null for rows outside
        row INTEGER,                       -- line in the slice
        state INTEGER NOT NULL,
        captured_at INTEGER,               -- ms since 1970, null if unknown
        day TEXT,
        sequence TEXT,                     -- as a path part
        extension TEXT,                    -- as stored: a name of layout.EXTENSIONS
        sha256_served BLOB,
        sha256_stored BLOB,
        size INTEGER,                      -- bytes as stored
        piece INTEGER REFERENCES pieces,   -- null as long as the file is loose
        offset INTEGER                     -- of the image's own bytes within the tar
    );
    CREATE INDEX images_of_day ON images (day, state);

    -- The queue: what is wanted, when it is due, and where it may be had.
    CREATE TABLE unsettled (
        number INTEGER PRIMARY KEY REFERENCES images,
        url TEXT,                          -- signed; null if the service must be asked for one
        expires INTEGER,                   -- oe of the URL, s since 1970
        fresh INTEGER NOT NULL DEFAULT 0,  -- the URL was asked for in this run
        retry_at REAL NOT NULL DEFAULT 0,  -- s since 1970
        attempts INTEGER NOT NULL DEFAULT 0,
        error TEXT
    );
    CREATE INDEX unsettled_due ON unsettled (retry_at, number);

    -- Bodies that came damaged, until they are believed or come whole.
    CREATE TABLE damage (
        number INTEGER PRIMARY KEY REFERENCES images,
        sha256 BLOB NOT NULL,
        requests INTEGER NOT NULL,
        fresh_urls INTEGER NOT NULL,
        first_run INTEGER NOT NULL,
        last_run INTEGER NOT NULL
    );

    CREATE TABLE days (day TEXT PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;

    -- The files of the finished collection: tars, manifests, .meta.
    CREATE TABLE pieces (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,         -- path below the collection
        day TEXT,                          -- null for what is no tar
        part INTEGER,                      -- 0 is DAY.tar, n is DAY.n.tar
        images INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER,
        sha256 BLOB,
        md5 BLOB,
        state INTEGER NOT NULL DEFAULT 0,
        item TEXT                          -- identifier of the item that holds it
    );

    CREATE TABLE balance (
        state INTEGER PRIMARY KEY,
        images INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    INSERT INTO balance (state) VALUES (0), (1), (2), (3), (4), (5), (6);

    -- The balance is kept by the tables themselves, so it is true at any instant.
    CREATE TRIGGER image_listed AFTER INSERT ON images BEGIN
        UPDATE balance SET images = images + 1, bytes = bytes + coalesce(new.size, 0)
        WHERE state = new.state;
    END;
    CREATE TRIGGER image_settled AFTER UPDATE OF state ON images BEGIN
        UPDATE balance SET images = images - 1, bytes = bytes - coalesce(old.size, 0)
        WHERE state = old.state;
        UPDATE balance SET images = images + 1, bytes = bytes + coalesce(new.size, 0)
        WHERE state = new.state;
    END;
    """,
    # Images without our metadata; bodies in another format than JPEG.
    """
    ALTER TABLE images ADD COLUMN bare TEXT;   -- why: a reason of bare.jsonl
    CREATE INDEX bare_images ON images (sha256_served) WHERE bare IS NOT NULL;

    -- Which images they came for: one that came for two is nobody's. Never forgotten.
    CREATE TABLE other_formats (
        sha256 BLOB NOT NULL, number INTEGER NOT NULL REFERENCES images,
        PRIMARY KEY (sha256, number)
    ) WITHOUT ROWID;

    -- What was listed before has its names already.
    INSERT INTO facts SELECT 'extensions', '["jpg", "webp"]' WHERE EXISTS (SELECT 1 FROM images);
    """,
    # What had a URL once is not unavailable by one answer without; URLs that are due for another.
    """
    ALTER TABLE unsettled ADD COLUMN had_url INTEGER NOT NULL DEFAULT 0;  -- at some time
    -- Answers in a row that named the image and gave no URL.
    ALTER TABLE unsettled ADD COLUMN without_url INTEGER NOT NULL DEFAULT 0;
    -- An error may be that of a file that was lost: such images were saved once.
    UPDATE unsettled SET had_url = 1
    WHERE url IS NOT NULL OR expires IS NOT NULL OR error IS NOT NULL;

    -- 0 from now on where the URL was dropped, so that one look at an index finds all.
    UPDATE unsettled SET expires = 0 WHERE url IS NULL AND expires IS NOT NULL;
    CREATE INDEX unsettled_expired ON unsettled (expires)
    WHERE fresh = 0 AND expires IS NOT NULL;
    """,
    # The round of the listing that last brought an image: a page may bring none that is new to it.
    "ALTER TABLE images ADD COLUMN round INTEGER;",
    # JPEG XL: the checksum of the JPEG that it gives back; null for all others.
    "ALTER TABLE images ADD COLUMN sha256_jpeg BLOB;",
    # What a run had an error with is failed, all else that is not settled is left.
    "CREATE INDEX unsettled_failed ON unsettled (number) WHERE error IS NOT NULL;",
    # What lies in a folder that had lost its ledger, until it is listed again.
    """
    CREATE TABLE found (
        id TEXT PRIMARY KEY, day TEXT NOT NULL, sequence TEXT NOT NULL, extension TEXT NOT NULL,
        sha256 BLOB NOT NULL, size INTEGER NOT NULL, sha256_jpeg BLOB,
        piece INTEGER REFERENCES pieces, offset INTEGER
    ) WITHOUT ROWID;

    -- What was in tars that were lost.
    CREATE TABLE lost_images (
        number INTEGER PRIMARY KEY REFERENCES images,
        piece INTEGER NOT NULL REFERENCES pieces,
        sha256 BLOB NOT NULL
    );
    """,
    # A small picture of each day, of the image of that number.
    """
    CREATE TABLE samples (
        day TEXT PRIMARY KEY, number INTEGER NOT NULL REFERENCES images, jpeg BLOB NOT NULL
    );
    """,
    _UPDATES,
    _SLICES,
)

#: How a reader that may not write sees a ledger of an older version: as one of this version.
_WITHOUT_JXL = "CREATE TEMP VIEW images AS SELECT *, NULL AS sha256_jpeg FROM main.images;"
_WITHOUT_UPDATES = "CREATE TEMP TABLE vanished (number INTEGER PRIMARY KEY, noticed_at INTEGER);"
_AS_READ = {
    1: "CREATE TEMP VIEW images AS SELECT *, NULL AS bare, NULL AS sha256_jpeg FROM main.images;",
    **dict.fromkeys((2, 3, 4), _WITHOUT_JXL),
}

VERSION = len(MIGRATIONS)


class LedgerTooNew(ProjectError):
    """The ledger, or the collection it is of, was written by a newer version of this program."""

    outcome = Outcome.REFUSED


def migrate(connection: sqlite3.Connection, *, read_only: bool = False) -> None:
    """Bring the ledger to the current version in one transaction.

    A reader leaves an older ledger as it is, and sees it as one of this version. Raises
    `LedgerTooNew` for a ledger of a later version, and for that of a collection of a later format.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise LedgerTooNew(
            f"the ledger has version {version}, this program knows {VERSION}; "
            "run the version that wrote it, or a later one"
        )
    if version:
        _refuse_later_format(connection)
    if read_only:
        connection.executescript(_AS_READ.get(version, ""))
        if version <= MIGRATIONS.index(_UPDATES):
            connection.executescript(_WITHOUT_UPDATES)
        if version <= MIGRATIONS.index(_SLICES):
            connection.executescript(_SLICES.replace("CREATE TABLE", "CREATE TEMP TABLE"))
        return
    if version == VERSION:
        return
    statements = "".join(MIGRATIONS[version:])
    connection.executescript(f"BEGIN; {statements} PRAGMA user_version = {VERSION}; COMMIT;")


def _refuse_later_format(connection: sqlite3.Connection) -> None:
    later = connection.execute(
        "SELECT value FROM facts WHERE name = 'format' AND CAST(value AS INTEGER) > ?", (FORMAT,)
    ).fetchone()
    if later:
        raise LedgerTooNew(
            f"the collection has format {later[0]}, this program knows {FORMAT}; "
            "run the version that wrote it, or a later one"
        )
