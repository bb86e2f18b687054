-- The ledger: every record as it was made, and what its proof needs. A salt is
-- 16 bytes; it and the bytes are empty where retention or an erasure took them.
-- The projection `tails` says at once how far each log has come.
{{create "ledger"}} (
    log          LowCardinality(String),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    kind         LowCardinality(String),
    node         LowCardinality(String),
    tenant       LowCardinality(String),
    manufacturer LowCardinality(String),
    oui          LowCardinality(String),
    class        LowCardinality(String),
    serial       String CODEC(ZSTD(1)),
    session      String CODEC(ZSTD(1)),
    n            UInt32 CODEC(ZSTD(1)),
    identity     LowCardinality(String),
    leaf         FixedString(32) CODEC(NONE),
    salt         String CODEC(NONE),
    bytes        String CODEC(ZSTD(3)),
    INDEX ledger_seq seq TYPE minmax GRANULARITY 1,
    INDEX ledger_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    PROJECTION tails (SELECT log, max(seq) GROUP BY log)
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', {{settings}};
{{distributed "ledger"}};
