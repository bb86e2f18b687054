-- What was decided other than to pass, alike ones of a second together.
CREATE TABLE decisions (
    log         INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    decided_by  TEXT NOT NULL,
    reason      TEXT NOT NULL,
    limit_text  TEXT,
    class       TEXT,
    acs         TEXT,
    status      INTEGER NOT NULL, -- 0: closed without an answer
    peer        TEXT,
    source      TEXT,
    listener    TEXT,
    count       INTEGER NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;
CREATE INDEX decisions_at ON decisions (at, log, seq);
