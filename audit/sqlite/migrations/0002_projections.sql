-- The projections: made from the ledger's bytes alone. What all rows of a
-- record share (tenant, device, session …) stands in the ledger, under the
-- same (log, seq).
CREATE TABLE rpcs (
    log           INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    sender        TEXT NOT NULL,
    acs           TEXT NOT NULL,
    rpc           TEXT NOT NULL,
    to_rpc        TEXT,
    message       TEXT NOT NULL,
    cwmp          TEXT,
    cwmp_id       TEXT NOT NULL,
    answers       INTEGER,
    wrong_id      INTEGER NOT NULL,
    verdict       TEXT NOT NULL,
    fault_code    TEXT,
    fault_text    TEXT,
    fault_detail  INTEGER NOT NULL,
    status        TEXT,
    command_key   TEXT,
    parameter_key TEXT,
    events        TEXT, -- JSON array of strings
    event_keys    TEXT, -- JSON array of strings, beside events
    retry_count   TEXT,
    time_text     TEXT, -- CurrentTime as sent
    time          INTEGER,
    object        TEXT,
    instance      TEXT,
    parameters    INTEGER NOT NULL,
    peer          TEXT,
    listener      TEXT,
    tls           TEXT,
    cipher        TEXT,
    sni           TEXT,
    certificate_subject   TEXT,
    certificate_serial    TEXT,
    certificate_sha256    TEXT,
    certificate_not_after INTEGER,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;
CREATE INDEX rpcs_answers ON rpcs (log, answers) WHERE answers IS NOT NULL;

-- device is devices.same; changed is 0 where the row tells of no change: a
-- first sight, a value reported as it was known, a name in a fault.
CREATE TABLE parameters (
    log          INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    item         INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    device       INTEGER,
    name         INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    action       TEXT NOT NULL,
    value        TEXT,
    secret       TEXT,
    type         TEXT,
    cut          INTEGER,
    sha256       TEXT,
    key          TEXT,
    answers      INTEGER,
    fault_code   TEXT,
    fault_text   TEXT,
    notification TEXT,
    access_list  TEXT,
    PRIMARY KEY (log, seq, item)
) WITHOUT ROWID;
CREATE INDEX parameters_device ON parameters (device, name, at, log, seq, item);
CREATE INDEX parameters_name ON parameters (name, at, log, seq, item) WHERE changed;
CREATE INDEX parameters_device_at ON parameters (device, at, log, seq, item) WHERE changed;
CREATE INDEX parameters_at ON parameters (at, log, seq, item) WHERE changed;

CREATE TABLE transfers (
    log           INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    item          INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    device        INTEGER,
    step          TEXT NOT NULL,
    sender        TEXT,
    acs           TEXT NOT NULL,
    rpc           TEXT NOT NULL,
    answers       INTEGER,
    verdict       TEXT,
    command_key   TEXT NOT NULL,
    file_type     TEXT,
    url           TEXT,
    path          TEXT,
    file_size     TEXT,
    target        TEXT,
    status        TEXT,
    fault_code    TEXT,
    fault_text    TEXT,
    start_text    TEXT,
    start         INTEGER,
    finish_text   TEXT,
    finish        INTEGER,
    is_download   TEXT,
    method        TEXT,
    http_status   INTEGER,
    bytes         INTEGER,
    sha256        TEXT,
    began         INTEGER,
    duration      INTEGER, -- microseconds
    part          INTEGER NOT NULL,
    complete      INTEGER NOT NULL,
    error         TEXT,
    peer          TEXT,
    PRIMARY KEY (log, seq, item)
) WITHOUT ROWID;
CREATE INDEX transfers_at ON transfers (at, log, seq, item);
CREATE INDEX transfers_key ON transfers (device, command_key, step, at);
CREATE INDEX transfers_path ON transfers (device, path, step, at);
CREATE INDEX transfers_answers ON transfers (log, answers) WHERE answers IS NOT NULL;

CREATE TABLE sessions (
    log         INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    device      INTEGER,
    session     TEXT NOT NULL,
    acs         TEXT NOT NULL,
    acs_node    TEXT NOT NULL,
    begun       INTEGER,
    ended       INTEGER,
    how         TEXT NOT NULL,
    messages    INTEGER NOT NULL,
    empty       INTEGER NOT NULL,
    bytes_in    INTEGER NOT NULL,
    bytes_out   INTEGER NOT NULL,
    open        TEXT NOT NULL, -- JSON array of seqs
    undelivered TEXT NOT NULL, -- JSON array of seqs
    peer        TEXT,
    listener    TEXT,
    tls         TEXT,
    sni         TEXT,
    certificate TEXT,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;
CREATE INDEX sessions_at ON sessions (at, log, seq);
CREATE INDEX sessions_name ON sessions (log, session);
CREATE INDEX sessions_device ON sessions (device, at, log, seq) WHERE device IS NOT NULL;

CREATE TABLE refusals (
    log      INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    sender   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    offset   INTEGER,
    path     TEXT,
    size     INTEGER,
    status   INTEGER NOT NULL,
    peer     TEXT,
    listener TEXT,
    acs      TEXT,
    count    INTEGER NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;

CREATE TABLE security (
    log      INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    claimed  TEXT,
    verified TEXT,
    peer     TEXT,
    listener TEXT,
    acs      TEXT,
    count    INTEGER NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;

CREATE TABLE system (
    log    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    what   TEXT NOT NULL,
    why    TEXT,
    detail TEXT, -- JSON object
    PRIMARY KEY (log, seq)
) WITHOUT ROWID;
CREATE INDEX system_what ON system (what, log, seq);
