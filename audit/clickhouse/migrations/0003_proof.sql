-- Signed checkpoints of the logs' trees. last is the number of the record of the
-- last leaf. The same one may have been added more than once.
{{create "checkpoints"}} (
    log   LowCardinality(String),
    epoch UInt64 CODEC(ZSTD(1)),
    size  Int64 CODEC(ZSTD(1)),
    last  UInt64 CODEC(ZSTD(1)),
    note  String CODEC(ZSTD(1))
) ENGINE = {{engine "ReplacingMergeTree"}}
ORDER BY (log, epoch, size, note)
SETTINGS {{settings}};
{{distributed "checkpoints"}};

-- The system records, of retention and of erasures, that were carried out here.
{{create "removals"}} (
    log LowCardinality(String),
    seq UInt64,
    at  DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = {{engine "ReplacingMergeTree"}}
ORDER BY (log, seq)
SETTINGS {{settings}};
{{distributed "removals"}};
