-- The ledger: every record as it was made, and what its proof needs. Times are
-- microseconds since 1970 UTC. The order of id is the order of arrival, in
-- which projections are made and made anew.
CREATE TABLE logs (
    id  INTEGER PRIMARY KEY,
    log TEXT NOT NULL UNIQUE
);

-- A device as a record spells it. OUIs are compared without case: `same` is
-- the id under which all spellings of one device are looked up.
CREATE TABLE devices (
    id           INTEGER PRIMARY KEY,
    same         INTEGER NOT NULL,
    tenant       TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    oui          TEXT NOT NULL,
    class        TEXT NOT NULL,
    serial       TEXT NOT NULL,
    UNIQUE (serial, tenant, oui, class, manufacturer)
);

CREATE TABLE names (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE ledger (
    id       INTEGER PRIMARY KEY,
    log      INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    node     TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    device   INTEGER,
    session  TEXT NOT NULL,
    n        INTEGER NOT NULL,
    identity TEXT NOT NULL,
    leaf     BLOB NOT NULL,
    salt     BLOB NOT NULL,
    bytes    BLOB NOT NULL
);
CREATE UNIQUE INDEX ledger_place ON ledger (log, seq);
CREATE INDEX ledger_at ON ledger (at, log, seq);
CREATE INDEX ledger_device ON ledger (device, at, log, seq) WHERE device IS NOT NULL;
CREATE INDEX ledger_session ON ledger (session, at, log, seq);
