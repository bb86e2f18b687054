-- 0001_ledger.sql
CREATE TABLE IF NOT EXISTS ledger_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `kind` LowCardinality(String),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `leaf` FixedString(32) CODEC(NONE),
    `salt` String CODEC(NONE),
    `bytes` String CODEC(ZSTD(3)),
    INDEX ledger_seq seq TYPE minmax GRANULARITY 1,
    INDEX ledger_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    PROJECTION tails
    (
        SELECT
            log,
            max(seq)
        GROUP BY log
    )
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS ledger ON CLUSTER fleet AS ledger_local
ENGINE = Distributed('fleet', currentDatabase(), ledger_local);

-- 0002_projections.sql
CREATE TABLE IF NOT EXISTS rpcs_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `sender` LowCardinality(String),
    `acs` LowCardinality(String),
    `rpc` LowCardinality(String),
    `to_rpc` LowCardinality(String),
    `message` LowCardinality(String),
    `cwmp` LowCardinality(String),
    `cwmp_id` String CODEC(ZSTD(1)),
    `answers` UInt64 CODEC(ZSTD(1)),
    `wrong_id` Bool,
    `verdict` LowCardinality(String),
    `fault_code` LowCardinality(String),
    `fault_text` String CODEC(ZSTD(1)),
    `fault_detail` Bool,
    `status` LowCardinality(String),
    `command_key` String CODEC(ZSTD(1)),
    `parameter_key` String CODEC(ZSTD(1)),
    `events` Array(LowCardinality(String)),
    `event_keys` Array(String) CODEC(ZSTD(1)),
    `retry_count` LowCardinality(String),
    `time_text` String CODEC(ZSTD(1)),
    `time` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    `object` String CODEC(ZSTD(1)),
    `instance` String CODEC(ZSTD(1)),
    `parameters` UInt32 CODEC(ZSTD(1)),
    `peer` String CODEC(ZSTD(1)),
    `listener` LowCardinality(String),
    `tls` LowCardinality(String),
    `cipher` LowCardinality(String),
    `sni` LowCardinality(String),
    `certificate_subject` String CODEC(ZSTD(1)),
    `certificate_serial` String CODEC(ZSTD(1)),
    `certificate_sha256` String CODEC(ZSTD(1)),
    `certificate_not_after_text` String CODEC(ZSTD(1)),
    `certificate_not_after` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    INDEX rpcs_seq seq TYPE minmax GRANULARITY 1,
    INDEX rpcs_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX rpcs_answers answers TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS rpcs ON CLUSTER fleet AS rpcs_local
ENGINE = Distributed('fleet', currentDatabase(), rpcs_local);

CREATE TABLE IF NOT EXISTS parameters_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `item` UInt32 CODEC(ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `sender` LowCardinality(String),
    `acs` LowCardinality(String),
    `rpc` LowCardinality(String),
    `to_rpc` LowCardinality(String),
    `answers` UInt64 CODEC(ZSTD(1)),
    `verdict` LowCardinality(String),
    `action` LowCardinality(String),
    `changed` Bool,
    `name` LowCardinality(String),
    `value` Nullable(String) CODEC(ZSTD(1)),
    `secret` String CODEC(ZSTD(1)),
    `type` LowCardinality(String),
    `cut` UInt64 CODEC(ZSTD(1)),
    `sha256` String CODEC(ZSTD(1)),
    `key` String CODEC(ZSTD(1)),
    `fault_code` LowCardinality(String),
    `fault_text` String CODEC(ZSTD(1)),
    `notification` LowCardinality(String),
    `access_list` LowCardinality(String),
    INDEX parameters_seq seq TYPE minmax GRANULARITY 1,
    INDEX parameters_at at TYPE minmax GRANULARITY 1,
    INDEX parameters_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX parameters_value value TYPE bloom_filter(0.001) GRANULARITY 1,
    PROJECTION by_name
    (
        SELECT *
        ORDER BY
            name,
            at
    )
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, name, at, log, seq, item)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS parameters ON CLUSTER fleet AS parameters_local
ENGINE = Distributed('fleet', currentDatabase(), parameters_local);

CREATE TABLE IF NOT EXISTS transfers_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `item` UInt32 CODEC(ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `step` LowCardinality(String),
    `sender` LowCardinality(String),
    `acs` LowCardinality(String),
    `rpc` LowCardinality(String),
    `to_rpc` LowCardinality(String),
    `answers` UInt64 CODEC(ZSTD(1)),
    `verdict` LowCardinality(String),
    `command_key` String CODEC(ZSTD(1)),
    `file_type` LowCardinality(String),
    `url` String CODEC(ZSTD(1)),
    `path` String CODEC(ZSTD(1)),
    `file_size` String CODEC(ZSTD(1)),
    `target` String CODEC(ZSTD(1)),
    `status` LowCardinality(String),
    `fault_code` LowCardinality(String),
    `fault_text` String CODEC(ZSTD(1)),
    `start_text` String CODEC(ZSTD(1)),
    `start` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    `finish_text` String CODEC(ZSTD(1)),
    `finish` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    `is_download` LowCardinality(String),
    `method` LowCardinality(String),
    `http_status` Nullable(Int64) CODEC(ZSTD(1)),
    `bytes` Nullable(Int64) CODEC(ZSTD(1)),
    `sha256` String CODEC(ZSTD(1)),
    `began` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    `duration` Nullable(Int64) CODEC(ZSTD(1)),
    `part` Bool,
    `complete` Bool,
    `error` String CODEC(ZSTD(1)),
    `peer` String CODEC(ZSTD(1)),
    INDEX transfers_seq seq TYPE minmax GRANULARITY 1,
    INDEX transfers_session session TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq, item)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS transfers ON CLUSTER fleet AS transfers_local
ENGINE = Distributed('fleet', currentDatabase(), transfers_local);

CREATE TABLE IF NOT EXISTS sessions_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `acs` LowCardinality(String),
    `acs_node` LowCardinality(String),
    `begun` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    `ended` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    `how` LowCardinality(String),
    `messages` UInt32 CODEC(ZSTD(1)),
    `empty` UInt32 CODEC(ZSTD(1)),
    `bytes_in` Int64 CODEC(ZSTD(1)),
    `bytes_out` Int64 CODEC(ZSTD(1)),
    `open` Array(UInt64) CODEC(ZSTD(1)),
    `undelivered` Array(UInt64) CODEC(ZSTD(1)),
    `peer` String CODEC(ZSTD(1)),
    `listener` LowCardinality(String),
    `tls` LowCardinality(String),
    `sni` LowCardinality(String),
    `certificate` String CODEC(ZSTD(1)),
    INDEX sessions_seq seq TYPE minmax GRANULARITY 1,
    INDEX sessions_session session TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, serial, oui, at, log, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS sessions ON CLUSTER fleet AS sessions_local
ENGINE = Distributed('fleet', currentDatabase(), sessions_local);

CREATE TABLE IF NOT EXISTS refusals_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `sender` LowCardinality(String),
    `reason` LowCardinality(String),
    `offset` Nullable(Int64) CODEC(ZSTD(1)),
    `path` String CODEC(ZSTD(1)),
    `size` Nullable(Int64) CODEC(ZSTD(1)),
    `status` UInt16,
    `peer` String CODEC(ZSTD(1)),
    `listener` LowCardinality(String),
    `acs` LowCardinality(String),
    `count` UInt32 CODEC(ZSTD(1)),
    INDEX refusals_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, reason, at, log, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS refusals ON CLUSTER fleet AS refusals_local
ENGINE = Distributed('fleet', currentDatabase(), refusals_local);

CREATE TABLE IF NOT EXISTS security_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `reason` LowCardinality(String),
    `claimed` String CODEC(ZSTD(1)),
    `verified` String CODEC(ZSTD(1)),
    `peer` String CODEC(ZSTD(1)),
    `listener` LowCardinality(String),
    `acs` LowCardinality(String),
    `count` UInt32 CODEC(ZSTD(1)),
    INDEX security_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, reason, at, log, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS security ON CLUSTER fleet AS security_local
ENGINE = Distributed('fleet', currentDatabase(), security_local);

CREATE TABLE IF NOT EXISTS decisions_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `decided_by` LowCardinality(String),
    `reason` LowCardinality(String),
    `limit_text` LowCardinality(String),
    `inform_class` LowCardinality(String),
    `acs` LowCardinality(String),
    `status` UInt16 CODEC(ZSTD(1)),
    `peer` String CODEC(ZSTD(1)),
    `source` String CODEC(ZSTD(1)),
    `listener` LowCardinality(String),
    `count` UInt32 CODEC(ZSTD(1)),
    INDEX decisions_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, reason, at, log, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS decisions ON CLUSTER fleet AS decisions_local
ENGINE = Distributed('fleet', currentDatabase(), decisions_local);

CREATE TABLE IF NOT EXISTS system_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64 CODEC(Delta, ZSTD(1)),
    `at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `manufacturer` LowCardinality(String),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `n` UInt32 CODEC(ZSTD(1)),
    `identity` LowCardinality(String),
    `what` LowCardinality(String),
    `why` String CODEC(ZSTD(1)),
    `detail` String CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (what, at, log, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS system ON CLUSTER fleet AS system_local
ENGINE = Distributed('fleet', currentDatabase(), system_local);

CREATE TABLE IF NOT EXISTS last_values_local ON CLUSTER fleet
(
    `tenant` LowCardinality(String),
    `serial` String CODEC(ZSTD(1)),
    `oui` LowCardinality(String),
    `class` LowCardinality(String),
    `name` LowCardinality(String),
    `last` SimpleAggregateFunction(max, Tuple(
        at DateTime64(6, 'UTC'),
        log String,
        seq UInt64,
        item UInt32,
        sent Bool,
        value String,
        secret String,
        type String,
        cut UInt64,
        sha256 String)) CODEC(ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
ORDER BY (tenant, serial, oui, class, name)
SETTINGS index_granularity = 1024, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS last_values ON CLUSTER fleet AS last_values_local
ENGINE = Distributed('fleet', currentDatabase(), last_values_local);

CREATE TABLE IF NOT EXISTS messages_per_minute_local ON CLUSTER fleet
(
    `minute` DateTime('UTC') CODEC(Delta, ZSTD(1)),
    `node` LowCardinality(String),
    `tenant` LowCardinality(String),
    `acs` LowCardinality(String),
    `sender` LowCardinality(String),
    `rpc` LowCardinality(String),
    `messages` UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplicatedSummingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, minute, rpc, sender, acs, node)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS messages_per_minute ON CLUSTER fleet AS messages_per_minute_local
ENGINE = Distributed('fleet', currentDatabase(), messages_per_minute_local);

CREATE MATERIALIZED VIEW IF NOT EXISTS make_messages_per_minute ON CLUSTER fleet TO messages_per_minute_local
AS SELECT
    toStartOfMinute(at) AS minute,
    node,
    tenant,
    acs,
    sender,
    rpc,
    count() AS messages
FROM rpcs_local
GROUP BY
    minute,
    node,
    tenant,
    acs,
    sender,
    rpc;

-- 0003_proof.sql
CREATE TABLE IF NOT EXISTS checkpoints_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `epoch` UInt64 CODEC(ZSTD(1)),
    `size` Int64 CODEC(ZSTD(1)),
    `last` UInt64 CODEC(ZSTD(1)),
    `note` String CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
ORDER BY (log, epoch, size, note)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS checkpoints ON CLUSTER fleet AS checkpoints_local
ENGINE = Distributed('fleet', currentDatabase(), checkpoints_local);

CREATE TABLE IF NOT EXISTS removals_local ON CLUSTER fleet
(
    `log` LowCardinality(String),
    `seq` UInt64,
    `at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
ORDER BY (log, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS removals ON CLUSTER fleet AS removals_local
ENGINE = Distributed('fleet', currentDatabase(), removals_local);

-- views
CREATE OR REPLACE VIEW view_records ON CLUSTER fleet
AS SELECT
    at,
    log,
    seq,
    kind,
    tenant,
    oui,
    class,
    serial,
    session,
    record
FROM
(
    SELECT
        at,
        log,
        seq,
        kind,
        tenant,
        oui,
        class,
        serial,
        session,
        bytes AS record,
        toUInt32(0) AS item
    FROM ledger AS r
    WHERE bytes != ''
)
SETTINGS join_use_nulls = 0;

CREATE OR REPLACE VIEW view_changes ON CLUSTER fleet
AS SELECT
    at,
    log,
    seq,
    item,
    tenant,
    oui,
    class,
    serial,
    identity,
    session,
    acs,
    rpc,
    action,
    parameter,
    old,
    old_secret,
    new,
    new_secret,
    type,
    outcome,
    fault_code,
    fault_text,
    key,
    answered
FROM
(
    WITH
        (
            SELECT mapFromArrays(groupArray(log), groupArray(tail))
            FROM
            (
                SELECT
                    toString(log) AS log,
                    max(seq) AS tail
                FROM ledger
                GROUP BY log
            )
        ) AS committed,
        r AS
        (
            SELECT *
            FROM parameters
            WHERE changed AND (seq <= (committed[log]))
        ),
        a AS
        (
            SELECT
                log,
                answers,
                max(seq) AS answered,
                argMax(tuple(message, status, instance, fault_code, fault_text, fault_detail), seq) AS answer
            FROM rpcs
            WHERE (answers > 0) AND (seq <= (committed[log]))
            GROUP BY
                log,
                answers
        ),
        s AS
        (
            SELECT
                log,
                session,
                seq,
                how,
                undelivered
            FROM sessions
            WHERE seq <= (committed[log])
        ),
        y AS
        (
            SELECT
                log,
                max(seq) AS started
            FROM system
            WHERE (what = 'start') AND (seq <= (committed[log]))
            GROUP BY log
        ),
        x AS
        (
            SELECT
                log,
                seq,
                name,
                argMin(tuple(fault_code, fault_text), item) AS fault
            FROM parameters
            WHERE (action = 'refused') AND (seq <= (committed[log]))
            GROUP BY
                log,
                seq,
                name
        ),
        k AS
        (
            SELECT
                tenant,
                serial,
                lower(oui) AS oui,
                class,
                name,
                at,
                log,
                seq,
                item,
                action,
                changed,
                ifNull(value, '') AS text,
                value IS NOT NULL AS sent,
                secret
            FROM parameters
            WHERE (action IN ('set', 'add', 'delete', 'attributes', 'reported', 'informed', 'read')) AND (seq <= (committed[log])) AND (NOT ((serial = '') AND (oui = '') AND (class = '') AND (manufacturer = '')))
        ),
        b AS
        (
            SELECT
                log,
                answers,
                min(seq) AS accepted,
                min(at) AS accepted_at
            FROM rpcs
            WHERE (answers > 0) AND (message = 'response') AND (status IN ('0', '1')) AND (seq <= (committed[log]))
            GROUP BY
                log,
                answers
        ),
        f AS
        (
            SELECT DISTINCT
                log,
                answers
            FROM rpcs
            WHERE (answers > 0) AND (message = 'fault') AND (to_rpc = 'Inform') AND (seq <= (committed[log]))
        ),
        h AS
        (
            SELECT
                tenant,
                serial,
                oui,
                class,
                name,
                at AS known_at,
                log AS known_log,
                seq AS known_seq,
                item AS known_item,
                (action = 'read') OR ((action IN ('reported', 'informed')) AND ((log, seq) NOT IN (
                    SELECT
                        log,
                        answers
                    FROM f
                ))) AS is_known,
                tuple(at, log, seq, item, sent, text, secret) AS known,
                log,
                seq,
                item
            FROM k
            UNION ALL
            SELECT
                k.tenant,
                k.serial,
                k.oui,
                k.class,
                k.name,
                b.accepted_at,
                k.log,
                b.accepted,
                k.item,
                true,
                tuple(k.at, k.log, k.seq, k.item, k.sent, k.text, k.secret),
                k.log,
                0,
                0
            FROM k
            INNER JOIN b ON (b.log = k.log) AND (b.answers = k.seq)
            WHERE k.action = 'set'
        ),
        o AS
        (
            SELECT
                log,
                seq,
                item,
                maxIf(known, is_known) OVER (PARTITION BY tenant, serial, oui, class, name ORDER BY known_at ASC, known_log ASC, known_seq ASC, known_item ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last
            FROM h
        )
    SELECT
        r.at AS at,
        r.log AS log,
        r.seq AS seq,
        r.item AS item,
        r.tenant AS tenant,
        r.oui AS oui,
        r.class AS class,
        r.serial AS serial,
        r.identity AS identity,
        r.session AS session,
        r.acs AS acs,
        r.rpc AS rpc,
        r.action AS action,
        r.name AS parameter,
        if(o.last.5, o.last.6, NULL) AS old,
        o.last.7 AS old_secret,
        multiIf(r.action = 'add', nullIf(a.answer.3, ''), r.action = 'attributes', trimBoth(concat(if(r.notification != '', concat('notification=', r.notification), ''), if(r.access_list != '', concat(' access=', r.access_list), '')), ' '), r.value) AS new,
        r.secret AS new_secret,
        r.type AS type,
        multiIf(r.verdict = 'deny', 'denied', r.verdict = 'orphan', 'undelivered', (a.answer.1) = 'response', multiIf((r.rpc NOT IN ('SetParameterValues', 'AddObject', 'DeleteObject', 'Download', 'Upload')) OR ((a.answer.2) = '0'), 'accepted', (a.answer.2) != '1', 'unclear', (r.rpc IN ('Download', 'Upload')), 'accepted', 'accepted-after-reboot'), (a.answer.1) = 'fault', 'refused', s.seq > 0, multiIf(has(s.undelivered, r.seq), 'undelivered', (s.how IN ('clean', 'acs-error')), 'unanswered', 'unknown'), y.started > r.seq, 'unknown', 'unanswered') AS fate,
        multiIf((r.action IN ('reported', 'informed')) AND ((a.answer.1) = 'fault'), 'refused', (r.action IN ('reported', 'informed', 'read')), 'reported', (fate != 'refused') OR (r.action != 'set'), fate, x.seq > 0, 'refused', a.answer.6, 'not-applied', 'refused-no-detail') AS outcome,
        if((x.fault.1) != '', x.fault.1, a.answer.4) AS fault_code,
        if((x.fault.2) != '', x.fault.2, a.answer.5) AS fault_text,
        r.key AS key,
        nullIf(a.answered, 0) AS answered
    FROM r
    LEFT JOIN a ON (a.log = r.log) AND (a.answers = r.seq)
    ASOF LEFT JOIN s ON (s.log = r.log) AND (s.session = r.session) AND (s.seq > r.seq)
    LEFT JOIN y ON y.log = r.log
    LEFT JOIN x ON (x.log = r.log) AND (x.seq = a.answered) AND (x.name = r.name)
    LEFT JOIN
    (
        SELECT *
        FROM o
        WHERE seq > 0
    ) AS o ON (o.log = r.log) AND (o.seq = r.seq) AND (o.item = r.item)
)
SETTINGS join_use_nulls = 0;

CREATE OR REPLACE VIEW view_transfers ON CLUSTER fleet
AS SELECT
    at,
    log,
    seq,
    tenant,
    oui,
    class,
    serial,
    identity,
    session,
    acs,
    rpc,
    command_key,
    file_type,
    url,
    file_size,
    target,
    outcome,
    status,
    http_status,
    bytes,
    sha256,
    start,
    finish,
    fault_code,
    fault_text,
    answered,
    completed
FROM
(
    WITH
        (
            SELECT mapFromArrays(groupArray(log), groupArray(tail))
            FROM
            (
                SELECT
                    toString(log) AS log,
                    max(seq) AS tail
                FROM ledger
                GROUP BY log
            )
        ) AS committed,
        r AS
        (
            SELECT
                *,
                tuple(tenant, serial, lower(oui), class) AS device,
                (serial != '') OR (oui != '') OR (class != '') OR (manufacturer != '') AS somebody
            FROM transfers
            WHERE seq <= (committed[log])
        ),
        a AS
        (
            SELECT
                log,
                answers,
                max(seq) AS answered,
                argMax(tuple(message, status, instance, fault_code, fault_text, fault_detail), seq) AS answer
            FROM rpcs
            WHERE (answers > 0) AND (seq <= (committed[log]))
            GROUP BY
                log,
                answers
        ),
        s AS
        (
            SELECT
                log,
                session,
                seq,
                how,
                undelivered
            FROM sessions
            WHERE seq <= (committed[log])
        ),
        y AS
        (
            SELECT
                log,
                max(seq) AS started
            FROM system
            WHERE (what = 'start') AND (seq <= (committed[log]))
            GROUP BY log
        ),
        lost AS
        (
            SELECT DISTINCT
                log,
                arrayJoin(undelivered) AS seq
            FROM s
        ),
        confirmed AS
        (
            SELECT DISTINCT
                log,
                answers
            FROM rpcs
            WHERE (answers > 0) AND (message = 'response') AND (seq <= (committed[log])) AND ((log, seq) NOT IN (
                SELECT
                    log,
                    seq
                FROM lost
            ))
        ),
        fate AS
        (
            SELECT
                r.at AS at,
                r.log AS log,
                r.seq AS seq,
                r.item AS item,
                r.step AS step,
                r.device AS device,
                r.somebody AS somebody,
                r.command_key AS command_key,
                tuple(r.fault_code, r.fault_text, r.start_text, r.finish_text, a.answered, a.answer.2, a.answer.4, a.answer.5, multiIf(r.verdict = 'deny', 'denied', r.verdict = 'orphan', 'undelivered', (a.answer.1) = 'response', multiIf((r.rpc NOT IN ('SetParameterValues', 'AddObject', 'DeleteObject', 'Download', 'Upload')) OR ((a.answer.2) = '0'), 'accepted', (a.answer.2) != '1', 'unclear', (r.rpc IN ('Download', 'Upload')), 'accepted', 'accepted-after-reboot'), (a.answer.1) = 'fault', 'refused', s.seq > 0, multiIf(has(s.undelivered, r.seq), 'undelivered', (s.how IN ('clean', 'acs-error')), 'unanswered', 'unknown'), y.started > r.seq, 'unknown', 'unanswered')) AS says
            FROM r
            LEFT JOIN a ON (a.log = r.log) AND (a.answers = r.seq)
            ASOF LEFT JOIN s ON (s.log = r.log) AND (s.session = r.session) AND (s.seq > r.seq)
            LEFT JOIN y ON y.log = r.log
            WHERE r.step IN ('request', 'cancel', 'complete')
        ),
        said AS
        (
            SELECT
                at,
                log,
                seq,
                item,
                step,
                device,
                command_key,
                says,
                (log, seq) IN (
                    SELECT
                        log,
                        answers
                    FROM confirmed
                ) AS heard,
                lagInFrame(tuple(somebody, heard, says.1, says.3, says.4)) OVER (PARTITION BY device, somebody, command_key, step ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
            FROM fate
        ),
        eras AS
        (
            SELECT
                at,
                log,
                seq,
                item,
                step,
                device,
                command_key,
                says,
                multiIf(step = 'complete', -1, (step = 'request') AND ((says.9) NOT IN ('denied', 'refused', 'undelivered')) AND ((says.6) != '0'), 1, 0) AS way,
                sum(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS era,
                max(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS cancelled
            FROM said
            WHERE (step = 'request') OR ((step = 'cancel') AND ((says.9) = 'accepted')) OR ((step = 'complete') AND (before != tuple(true, false, says.1, says.3, says.4)))
        ),
        walk AS
        (
            SELECT
                *,
                sum(way) OVER (PARTITION BY device, command_key, era ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total
            FROM eras
        ),
        opened AS
        (
            SELECT
                *,
                (total - way) - least(0, min(total) OVER (PARTITION BY device, command_key, era ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS open
            FROM walk
        ),
        runs AS
        (
            SELECT
                *,
                sum((open = 0) AND (way = 1)) OVER (PARTITION BY device, command_key, era ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
            FROM opened
        ),
        w AS
        (
            SELECT
                log,
                seq,
                item,
                step,
                says,
                way,
                open,
                cancelled,
                max((way = -1) AND (open > 1)) OVER (PARTITION BY device, command_key, era, run) AS ambiguous,
                max((way = -1) AND (open > 0)) OVER (PARTITION BY device, command_key, era, run ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS answered_for,
                max(if((way = -1) AND (open > 0), tuple(seq, says.1, says.2, says.3, says.4), tuple(toUInt64(0), '', '', '', ''))) OVER (PARTITION BY device, command_key, era, run) AS ending
            FROM runs
        ),
        file AS
        (
            SELECT
                *,
                maxIf(tuple(true, at, log, seq), step = 'request') OVER (PARTITION BY device, somebody, path ORDER BY at ASC, log ASC, seq ASC, item ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS asked
            FROM r
            WHERE (step IN ('request', 'bytes')) AND (path != '') AND somebody
        ),
        moved AS
        (
            SELECT
                asked.3 AS log,
                asked.4 AS seq,
                argMax(file.http_status, file.at) AS http_status,
                sum(if(intDiv(file.http_status, 100) = 2, file.bytes, 0)) AS bytes,
                argMaxIf(sha256, at, sha256 != '') AS sha256
            FROM file
            WHERE (step = 'bytes') AND (asked.1)
            GROUP BY
                log,
                seq
        ),
        life AS
        (
            SELECT
                log,
                seq,
                item,
                says.5 AS answered,
                says.6 AS status,
                multiIf(step = 'complete', if(open = 0, 'unattached', 'ambiguous'), ((says.6) = '0') AND ((says.9) = 'accepted'), 'completed', way = 0, says.9, ambiguous AND answered_for, 'ambiguous', ((ending.1) > 0) AND (NOT ambiguous), 'ended', cancelled, 'cancelled', (says.9) = 'accepted', 'started', says.9) AS state,
                ending AS ended,
                says.7 AS fault_code,
                says.8 AS fault_text
            FROM w
            WHERE (step = 'request') OR ((step = 'complete') AND ((open = 0) OR ambiguous))
            UNION ALL
            SELECT
                log,
                seq,
                item,
                0,
                '',
                multiIf(step = 'autonomous', 'ended', error != '', 'failed', 'relayed'),
                tuple(seq, toString(fault_code), fault_text, start_text, finish_text),
                '',
                ''
            FROM r
            WHERE (step = 'autonomous') OR ((step = 'bytes') AND ((log, seq, item) NOT IN (
                SELECT
                    log,
                    seq,
                    item
                FROM file
                WHERE asked.1
            )))
        )
    SELECT
        t.at AS at,
        t.log AS log,
        t.seq AS seq,
        t.tenant AS tenant,
        t.oui AS oui,
        t.class AS class,
        t.serial AS serial,
        t.identity AS identity,
        t.session AS session,
        t.acs AS acs,
        if(t.step = 'bytes', t.method, t.rpc) AS rpc,
        t.command_key AS command_key,
        t.file_type AS file_type,
        t.url AS url,
        t.file_size AS file_size,
        t.target AS target,
        multiIf(i.state != 'ended', i.state, ((i.ended.2) IN ('', '0')), 'completed', 'failed') AS outcome,
        i.status AS status,
        if(t.step = 'bytes', t.http_status, if(v.seq > 0, v.http_status, NULL)) AS http_status,
        if(t.step = 'bytes', if(intDiv(t.http_status, 100) = 2, t.bytes, 0), if(v.seq > 0, v.bytes, NULL)) AS bytes,
        if(t.step = 'bytes', t.sha256, v.sha256) AS sha256,
        multiIf((i.state = 'ended') AND ((i.ended.4) != ''), i.ended.4, (i.status = '0') AND (m.start_text != ''), m.start_text, t.start_text) AS start,
        multiIf((i.state = 'ended') AND ((i.ended.5) != ''), i.ended.5, (i.status = '0') AND (m.finish_text != ''), m.finish_text, t.finish_text) AS finish,
        ifNull(nullIf(multiIf((i.state = 'ended') AND ((i.ended.2) != ''), i.ended.2, i.fault_code != '', i.fault_code, t.fault_code), '0'), '') AS fault_code,
        multiIf((i.state = 'ended') AND ((i.ended.3) != ''), i.ended.3, i.fault_text != '', i.fault_text, t.fault_text) AS fault_text,
        nullIf(i.answered, 0) AS answered,
        if(i.state = 'ended', i.ended.1, NULL) AS completed,
        t.item AS item
    FROM life AS i
    INNER JOIN r AS t ON (t.log = i.log) AND (t.seq = i.seq) AND (t.item = i.item)
    LEFT JOIN moved AS v ON (t.step = 'request') AND (v.log = t.log) AND (v.seq = t.seq)
    LEFT JOIN
    (
        SELECT
            log,
            seq,
            start_text,
            finish_text
        FROM r
        WHERE step = 'response'
    ) AS m ON (m.log = i.log) AND (m.seq = i.answered)
    WHERE true
)
SETTINGS join_use_nulls = 0;

CREATE OR REPLACE VIEW view_sessions ON CLUSTER fleet
AS SELECT
    begin,
    end,
    log,
    seq,
    tenant,
    oui,
    class,
    serial,
    identity,
    session,
    acs,
    acs_node,
    peer,
    listener,
    tls,
    sni,
    certificate,
    how,
    messages,
    empty,
    bytes_in,
    bytes_out,
    open,
    undelivered
FROM
(
    WITH
        (
            SELECT mapFromArrays(groupArray(log), groupArray(tail))
            FROM
            (
                SELECT
                    toString(log) AS log,
                    max(seq) AS tail
                FROM ledger
                GROUP BY log
            )
        ) AS committed,
        r AS
        (
            SELECT
                *,
                toUInt32(0) AS item
            FROM sessions
            WHERE seq <= (committed[log])
        ),
        c AS
        (
            SELECT
                log,
                session,
                min(seq) AS first,
                argMin(tuple(peer, listener, tls, sni, certificate_subject), seq) AS connection
            FROM rpcs
            WHERE (peer != '') AND (session != '')
            GROUP BY
                log,
                session
        )
    SELECT
        r.begun AS begin,
        r.ended AS end,
        r.log AS log,
        r.seq AS seq,
        r.tenant AS tenant,
        r.oui AS oui,
        r.class AS class,
        r.serial AS serial,
        r.identity AS identity,
        r.session AS session,
        r.acs AS acs,
        r.acs_node AS acs_node,
        (r.peer = '') AND (c.first < r.seq) AS elsewhere,
        if(elsewhere, c.connection.1, r.peer) AS peer,
        if(elsewhere AND (r.listener = ''), c.connection.2, r.listener) AS listener,
        if(elsewhere AND (r.tls = ''), c.connection.3, r.tls) AS tls,
        if(elsewhere AND (r.sni = ''), c.connection.4, r.sni) AS sni,
        if(elsewhere AND (r.certificate = ''), c.connection.5, r.certificate) AS certificate,
        r.how AS how,
        r.messages AS messages,
        r.empty AS empty,
        r.bytes_in AS bytes_in,
        r.bytes_out AS bytes_out,
        length(r.open) AS open,
        length(r.undelivered) AS undelivered,
        r.at AS at,
        r.how AS outcome,
        r.item AS item
    FROM r
    LEFT JOIN c ON (c.log = r.log) AND (c.session = r.session)
)
SETTINGS join_use_nulls = 0;

CREATE OR REPLACE VIEW view_rpcs ON CLUSTER fleet
AS SELECT
    at,
    log,
    seq,
    tenant,
    oui,
    class,
    serial,
    identity,
    session,
    n,
    `from`,
    acs,
    rpc,
    to,
    message,
    cwmp,
    id,
    answers,
    verdict,
    status,
    fault_code,
    fault_text,
    command_key,
    parameter_key,
    events,
    parameters,
    outcome,
    answered
FROM
(
    WITH
        (
            SELECT mapFromArrays(groupArray(log), groupArray(tail))
            FROM
            (
                SELECT
                    toString(log) AS log,
                    max(seq) AS tail
                FROM ledger
                GROUP BY log
            )
        ) AS committed,
        r AS
        (
            SELECT
                *,
                toUInt32(0) AS item
            FROM rpcs
            WHERE seq <= (committed[log])
        ),
        a AS
        (
            SELECT
                log,
                answers,
                max(seq) AS answered,
                argMax(tuple(message, status, instance, fault_code, fault_text, fault_detail), seq) AS answer
            FROM rpcs
            WHERE (answers > 0) AND (seq <= (committed[log]))
            GROUP BY
                log,
                answers
        ),
        s AS
        (
            SELECT
                log,
                session,
                seq,
                how,
                undelivered
            FROM sessions
            WHERE seq <= (committed[log])
        ),
        y AS
        (
            SELECT
                log,
                max(seq) AS started
            FROM system
            WHERE (what = 'start') AND (seq <= (committed[log]))
            GROUP BY log
        )
    SELECT
        r.at AS at,
        r.log AS log,
        r.seq AS seq,
        r.tenant AS tenant,
        r.oui AS oui,
        r.class AS class,
        r.serial AS serial,
        r.identity AS identity,
        r.session AS session,
        r.n AS n,
        r.sender AS `from`,
        r.acs AS acs,
        r.rpc AS rpc,
        r.to_rpc AS to,
        r.message AS message,
        r.cwmp AS cwmp,
        r.cwmp_id AS id,
        nullIf(r.answers, 0) AS answers,
        r.verdict AS verdict,
        if(r.status != '', r.status, a.answer.2) AS status,
        if(r.fault_code != '', r.fault_code, a.answer.4) AS fault_code,
        if(r.fault_text != '', r.fault_text, a.answer.5) AS fault_text,
        r.command_key AS command_key,
        r.parameter_key AS parameter_key,
        arrayStringConcat(r.events, ', ') AS events,
        r.parameters AS parameters,
        if(r.message != 'request', '', multiIf(r.verdict = 'deny', 'denied', r.verdict = 'orphan', 'undelivered', (a.answer.1) = 'response', multiIf((r.rpc NOT IN ('SetParameterValues', 'AddObject', 'DeleteObject', 'Download', 'Upload')) OR ((a.answer.2) = '0'), 'accepted', (a.answer.2) != '1', 'unclear', (r.rpc IN ('Download', 'Upload')), 'accepted', 'accepted-after-reboot'), (a.answer.1) = 'fault', 'refused', s.seq > 0, multiIf(has(s.undelivered, r.seq), 'undelivered', (s.how IN ('clean', 'acs-error')), 'unanswered', 'unknown'), y.started > r.seq, 'unknown', 'unanswered')) AS outcome,
        nullIf(a.answered, 0) AS answered,
        r.item AS item
    FROM r
    LEFT JOIN a ON (a.log = r.log) AND (a.answers = r.seq)
    ASOF LEFT JOIN s ON (s.log = r.log) AND (s.session = r.session) AND (s.seq > r.seq)
    LEFT JOIN y ON y.log = r.log
)
SETTINGS join_use_nulls = 0;

