-- Signed states of the proof, see docs/audit.md. An epoch is named by the number
-- of its first record; of one size there may be several notes, with more and
-- fewer signatures. In the ledger, records that retention or an erasure emptied
-- have a salt and bytes of no length; their leaf stays.
CREATE TABLE checkpoints (
    log   INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    size  INTEGER NOT NULL, -- leaves
    last  INTEGER NOT NULL, -- number of the record of the last leaf
    note  TEXT NOT NULL,
    PRIMARY KEY (log, epoch, size, note)
) WITHOUT ROWID;
