-- The projections: made from the ledger's bytes alone. All rows of a record
-- carry whom it is about, so that a table can be asked without the ledger.

-- One row per message. Texts that were not sent are empty, numbers 0 or NULL.
{{create "rpcs"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    sender       LowCardinality(String),
    acs          LowCardinality(String),
    rpc          LowCardinality(String),
    to_rpc       LowCardinality(String),
    message      LowCardinality(String),
    cwmp         LowCardinality(String),
    cwmp_id      String CODEC(ZSTD(1)),
    answers      UInt64 CODEC(ZSTD(1)),
    wrong_id     Bool,
    verdict      LowCardinality(String),
    fault_code   LowCardinality(String),
    fault_text   String CODEC(ZSTD(1)),
    fault_detail Bool,
    status       LowCardinality(String),
    command_key  String CODEC(ZSTD(1)),
    parameter_key String CODEC(ZSTD(1)),
    events       Array(LowCardinality(String)),
    event_keys   Array(String) CODEC(ZSTD(1)),
    retry_count  LowCardinality(String),
    time_text    String CODEC(ZSTD(1)),
    time         Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    object       String CODEC(ZSTD(1)),
    instance     String CODEC(ZSTD(1)),
    parameters   UInt32 CODEC(ZSTD(1)),
    peer         String CODEC(ZSTD(1)),
    listener     LowCardinality(String),
    tls          LowCardinality(String),
    cipher       LowCardinality(String),
    sni          LowCardinality(String),
    certificate_subject String CODEC(ZSTD(1)),
    certificate_serial String CODEC(ZSTD(1)),
    certificate_sha256 String CODEC(ZSTD(1)),
    certificate_not_after_text String CODEC(ZSTD(1)),
    certificate_not_after Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    INDEX rpcs_seq seq TYPE minmax GRANULARITY 1,
    INDEX rpcs_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX rpcs_answers answers TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq)
SETTINGS {{settings}};
{{distributed "rpcs"}};

-- One row per parameter set, refused, added, deleted or told with another value
-- than was known. changed is false where the row tells of no change: a first
-- sight, a value reported as it was known, a name in a fault. The projection
-- by_name is for one parameter across the fleet.
{{create "parameters"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    item         UInt32 CODEC(ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    sender       LowCardinality(String),
    acs          LowCardinality(String),
    rpc          LowCardinality(String),
    to_rpc       LowCardinality(String),
    answers      UInt64 CODEC(ZSTD(1)),
    verdict      LowCardinality(String),
    action       LowCardinality(String),
    changed      Bool,
    name         LowCardinality(String),
    value        Nullable(String) CODEC(ZSTD(1)),
    secret       String CODEC(ZSTD(1)),
    type         LowCardinality(String),
    cut          UInt64 CODEC(ZSTD(1)),
    sha256       String CODEC(ZSTD(1)),
    key          String CODEC(ZSTD(1)),
    fault_code   LowCardinality(String),
    fault_text   String CODEC(ZSTD(1)),
    notification LowCardinality(String),
    access_list  LowCardinality(String),
    INDEX parameters_seq seq TYPE minmax GRANULARITY 1,
    INDEX parameters_at at TYPE minmax GRANULARITY 1,
    INDEX parameters_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX parameters_value value TYPE bloom_filter(0.001) GRANULARITY 1,
    PROJECTION by_name (SELECT * ORDER BY name, at)
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, name, at, log, seq, item)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', {{settings}};
{{distributed "parameters"}};

-- One row per step in the life of a transfer; duration is in microseconds.
{{create "transfers"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    item         UInt32 CODEC(ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    step         LowCardinality(String),
    sender       LowCardinality(String),
    acs          LowCardinality(String),
    rpc          LowCardinality(String),
    to_rpc       LowCardinality(String),
    answers      UInt64 CODEC(ZSTD(1)),
    verdict      LowCardinality(String),
    command_key  String CODEC(ZSTD(1)),
    file_type    LowCardinality(String),
    url          String CODEC(ZSTD(1)),
    path         String CODEC(ZSTD(1)),
    file_size    String CODEC(ZSTD(1)),
    target       String CODEC(ZSTD(1)),
    status       LowCardinality(String),
    fault_code   LowCardinality(String),
    fault_text   String CODEC(ZSTD(1)),
    start_text   String CODEC(ZSTD(1)),
    start        Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    finish_text  String CODEC(ZSTD(1)),
    finish       Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    is_download  LowCardinality(String),
    method       LowCardinality(String),
    http_status  Nullable(Int64) CODEC(ZSTD(1)),
    bytes        Nullable(Int64) CODEC(ZSTD(1)),
    sha256       String CODEC(ZSTD(1)),
    began        Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    duration     Nullable(Int64) CODEC(ZSTD(1)),
    part         Bool,
    complete     Bool,
    error        String CODEC(ZSTD(1)),
    peer         String CODEC(ZSTD(1)),
    INDEX transfers_seq seq TYPE minmax GRANULARITY 1,
    INDEX transfers_session session TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq, item)
SETTINGS {{settings}};
{{distributed "transfers"}};

-- One row per session that has ended.
{{create "sessions"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    acs          LowCardinality(String),
    acs_node     LowCardinality(String),
    begun        Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    ended        Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    how          LowCardinality(String),
    messages     UInt32 CODEC(ZSTD(1)),
    empty        UInt32 CODEC(ZSTD(1)),
    bytes_in     Int64 CODEC(ZSTD(1)),
    bytes_out    Int64 CODEC(ZSTD(1)),
    open         Array(UInt64) CODEC(ZSTD(1)),
    undelivered  Array(UInt64) CODEC(ZSTD(1)),
    peer         String CODEC(ZSTD(1)),
    listener     LowCardinality(String),
    tls          LowCardinality(String),
    sni          LowCardinality(String),
    certificate  String CODEC(ZSTD(1)),
    INDEX sessions_seq seq TYPE minmax GRANULARITY 1,
    INDEX sessions_session session TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq)
SETTINGS {{settings}};
{{distributed "sessions"}};

-- One row per message refused, or more alike within a second.
{{create "refusals"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    sender       LowCardinality(String),
    reason       LowCardinality(String),
    offset       Nullable(Int64) CODEC(ZSTD(1)),
    path         String CODEC(ZSTD(1)),
    size         Nullable(Int64) CODEC(ZSTD(1)),
    status       UInt16,
    peer         String CODEC(ZSTD(1)),
    listener     LowCardinality(String),
    acs          LowCardinality(String),
    count        UInt32 CODEC(ZSTD(1)),
    INDEX refusals_seq seq TYPE minmax GRANULARITY 1
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, reason, at, log, seq)
SETTINGS {{settings}};
{{distributed "refusals"}};

-- One row per event of security, or more alike within a second.
{{create "security"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    reason       LowCardinality(String),
    claimed      String CODEC(ZSTD(1)),
    verified     String CODEC(ZSTD(1)),
    peer         String CODEC(ZSTD(1)),
    listener     LowCardinality(String),
    acs          LowCardinality(String),
    count        UInt32 CODEC(ZSTD(1)),
    INDEX security_seq seq TYPE minmax GRANULARITY 1
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, reason, at, log, seq)
SETTINGS {{settings}};
{{distributed "security"}};

-- What was decided other than to pass, alike ones of a second together.
{{create "decisions"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    decided_by   LowCardinality(String),
    reason       LowCardinality(String),
    limit_text   LowCardinality(String),
    inform_class LowCardinality(String),
    acs          LowCardinality(String),
    status       UInt16 CODEC(ZSTD(1)), -- 0: closed without an answer
    peer         String CODEC(ZSTD(1)),
    source       String CODEC(ZSTD(1)),
    listener     LowCardinality(String),
    count        UInt32 CODEC(ZSTD(1)),
    INDEX decisions_seq seq TYPE minmax GRANULARITY 1
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, reason, at, log, seq)
SETTINGS {{settings}};
{{distributed "decisions"}};

-- What happened in the gateway itself; detail is a JSON object or empty.
{{create "system"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    what         LowCardinality(String),
    why          String CODEC(ZSTD(1)),
    detail       String CODEC(ZSTD(1))
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (what, at, log, seq)
SETTINGS {{settings}};
{{distributed "system"}};

-- The last value known of every parameter of a device: what it told, and what
-- it accepted. oui is in lower case, as OUIs are compared without case. The
-- writer adds to it behind the ledger; of rows of one parameter the latest
-- counts: max(last), by its first members.
{{create "last_values"}} (
    tenant LowCardinality(String),
    serial String CODEC(ZSTD(1)),
    oui    LowCardinality(String),
    class  LowCardinality(String),
    name   LowCardinality(String),
    last   SimpleAggregateFunction(max, Tuple(at DateTime64(6, 'UTC'), log String, seq UInt64, item UInt32,
               sent Bool, value String, secret String, type String, cut UInt64, sha256 String)) CODEC(ZSTD(1))
) ENGINE = {{engine "AggregatingMergeTree"}}
ORDER BY (tenant, serial, oui, class, name)
SETTINGS index_granularity = 1024, {{settings}};
{{distributed "last_values"}};

-- Messages a minute. A rate, made by a view as rows come: where a server dies
-- between the two, it may be short of some.
{{create "messages_per_minute"}} (
    minute   DateTime('UTC') CODEC(Delta, ZSTD(1)),
    node     LowCardinality(String),
    tenant   LowCardinality(String),
    acs      LowCardinality(String),
    sender   LowCardinality(String),
    rpc      LowCardinality(String),
    messages UInt64 CODEC(ZSTD(1))
) ENGINE = {{engine "SummingMergeTree"}}
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, minute, rpc, sender, acs, node)
SETTINGS {{settings}};
{{distributed "messages_per_minute"}};
{{view "messages_per_minute"}} AS
SELECT toStartOfMinute(at) AS minute, node, tenant, acs, sender, rpc, count() AS messages
FROM {{local "rpcs"}}
GROUP BY minute, node, tenant, acs, sender, rpc;
