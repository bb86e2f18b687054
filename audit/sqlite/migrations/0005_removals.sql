-- The system records of retention and erasure that were carried out in this file.
CREATE TABLE removals (
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at  TEXT NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;

-- A record that was removed has a leaf and nothing to show.
DROP VIEW view_records;
CREATE VIEW view_records AS
SELECT
    l.at, g.log, l.seq, l.kind, l.tenant,
    coalesce(d.oui, '') AS oui, coalesce(d.class, '') AS class, coalesce(d.serial, '') AS serial,
    l.session, l.bytes AS record,

    l.log AS log_id, l.device AS device_id, 0 AS item
FROM ledger AS l
JOIN logs AS g ON g.id = l.log
LEFT JOIN devices AS d ON d.id = l.device
WHERE length(l.bytes) > 0;
