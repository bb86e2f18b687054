-- What people ask for. Nothing here is stored: outcomes, old values and the
-- lives of transfers are joined when they are read. The planner knows nothing
-- of how few answers a request has, so it is told to look by them. Columns after the blank
-- line of each view serve the filters of the reader.

-- One row per message with what became of it, should it be a request.
CREATE VIEW fates AS
SELECT
    r.log, r.seq,
    a.seq AS answered, a.message AS answer, a.status, a.instance,
    a.fault_code, a.fault_text, a.fault_detail,
    CASE
        WHEN r.message <> 'request' THEN NULL
        WHEN r.verdict = 'deny' THEN 'denied'
        WHEN r.verdict = 'orphan' THEN 'undelivered'
        WHEN a.message = 'response' THEN
            CASE WHEN r.rpc NOT IN ('SetParameterValues', 'AddObject', 'DeleteObject', 'Download', 'Upload') OR a.status = '0' THEN 'accepted'
                WHEN a.status IS NOT '1' THEN 'unclear'
                WHEN r.rpc IN ('Download', 'Upload') THEN 'accepted'
                ELSE 'accepted-after-reboot' END
        WHEN a.message = 'fault' THEN 'refused'
        WHEN s.seq IS NOT NULL THEN
            CASE WHEN EXISTS (SELECT 1 FROM json_each(s.undelivered) AS j WHERE j.value = r.seq) THEN 'undelivered'
                WHEN s.how IN ('clean', 'acs-error') THEN 'unanswered'
                ELSE 'unknown' END
        WHEN EXISTS (SELECT 1 FROM system AS y WHERE y.what = 'start' AND y.log = r.log AND y.seq > r.seq) THEN 'unknown'
        ELSE 'unanswered'
    END AS outcome
FROM rpcs AS r
JOIN ledger AS l ON l.log = r.log AND l.seq = r.seq
LEFT JOIN rpcs AS a ON a.log = r.log AND a.seq =
    (SELECT max(b.seq) FROM rpcs AS b INDEXED BY rpcs_answers WHERE b.log = r.log AND b.answers = r.seq)
LEFT JOIN sessions AS s ON s.log = r.log AND s.seq =
    (SELECT min(t.seq) FROM sessions AS t WHERE t.log = r.log AND t.session = l.session AND t.seq > r.seq);

CREATE VIEW view_records AS
SELECT
    l.at, g.log, l.seq, l.kind, l.tenant,
    coalesce(d.oui, '') AS oui, coalesce(d.class, '') AS class, coalesce(d.serial, '') AS serial,
    l.session, l.bytes AS record,

    l.log AS log_id, l.device AS device_id, 0 AS item
FROM ledger AS l
JOIN logs AS g ON g.id = l.log
LEFT JOIN devices AS d ON d.id = l.device;

CREATE VIEW view_rpcs AS
SELECT
    l.at, g.log, l.seq, l.tenant,
    coalesce(d.oui, '') AS oui, coalesce(d.class, '') AS class, coalesce(d.serial, '') AS serial,
    l.identity, l.session, l.n, r.sender AS "from", r.acs, r.rpc, r.to_rpc AS "to", r.message, r.cwmp, r.cwmp_id AS id,
    r.answers, r.verdict,
    coalesce(r.status, f.status) AS status,
    coalesce(r.fault_code, f.fault_code) AS fault_code, coalesce(r.fault_text, f.fault_text) AS fault_text,
    r.command_key, r.parameter_key, r.events, r.parameters, f.outcome, f.answered,

    l.log AS log_id, l.device AS device_id, 0 AS item
FROM ledger AS l
JOIN rpcs AS r ON r.log = l.log AND r.seq = l.seq
JOIN fates AS f ON f.log = l.log AND f.seq = l.seq
JOIN logs AS g ON g.id = l.log
LEFT JOIN devices AS d ON d.id = l.device;

CREATE VIEW view_sessions AS
SELECT
    s.begun AS "begin", s.ended AS "end", g.log, s.seq, l.tenant,
    coalesce(d.oui, '') AS oui, coalesce(d.class, '') AS class, coalesce(d.serial, '') AS serial,
    l.identity, l.session, s.acs, s.acs_node,
    coalesce(s.peer, r.peer) AS peer, coalesce(s.listener, r.listener) AS listener, coalesce(s.tls, r.tls) AS tls,
    coalesce(s.sni, r.sni) AS sni, coalesce(s.certificate, r.certificate_subject) AS certificate,
    s.how, s.messages, s.empty, s.bytes_in, s.bytes_out,
    json_array_length(s.open) AS open, json_array_length(s.undelivered) AS undelivered,

    s.at, s.log AS log_id, s.device AS device_id, s.how AS outcome, 0 AS item
FROM sessions AS s
JOIN ledger AS l ON l.log = s.log AND l.seq = s.seq
JOIN logs AS g ON g.id = s.log
LEFT JOIN devices AS d ON d.id = l.device
-- The connection stands in the session's first message, as a rule.
LEFT JOIN rpcs AS r ON s.peer IS NULL AND r.log = s.log AND r.seq =
    (SELECT q.seq FROM ledger AS k INDEXED BY ledger_session CROSS JOIN rpcs AS q ON q.log = k.log AND q.seq = k.seq
     WHERE k.session = s.session AND k.session <> '' AND k.log = s.log AND k.seq < s.seq AND q.peer IS NOT NULL
     ORDER BY k.at, k.log, k.seq LIMIT 1);

-- One row per parameter set, added, deleted, or told with another value than
-- was known. Known is what a CPE told and what it accepted, but not what an
-- Inform told that the ACS answered with a fault.
CREATE VIEW view_changes AS
SELECT
    p.at, g.log, p.seq, p.item, l.tenant,
    coalesce(d.oui, '') AS oui, coalesce(d.class, '') AS class, coalesce(d.serial, '') AS serial,
    l.identity, l.session, r.acs, r.rpc, p.action, n.name AS parameter,
    o.value AS old, o.secret AS old_secret,
    CASE p.action
        WHEN 'add' THEN f.instance
        WHEN 'attributes' THEN trim(coalesce('notification=' || p.notification, '') || coalesce(' access=' || p.access_list, ''))
        ELSE p.value
    END AS new,
    p.secret AS new_secret, p.type,
    CASE
        WHEN p.action IN ('reported', 'informed') AND f.answer = 'fault' THEN 'refused'
        WHEN p.action IN ('reported', 'informed', 'read') THEN 'reported'
        WHEN f.outcome <> 'refused' OR p.action <> 'set' THEN f.outcome
        WHEN x.seq IS NOT NULL THEN 'refused'
        WHEN f.fault_detail THEN 'not-applied'
        ELSE 'refused-no-detail'
    END AS outcome,
    coalesce(x.fault_code, f.fault_code) AS fault_code, coalesce(x.fault_text, f.fault_text) AS fault_text,
    p.key, f.answered,

    p.log AS log_id, p.device AS device_id, p.name AS name_id, r.to_rpc AS "to"
FROM parameters AS p
JOIN ledger AS l ON l.log = p.log AND l.seq = p.seq
JOIN rpcs AS r ON r.log = p.log AND r.seq = p.seq
JOIN fates AS f ON f.log = p.log AND f.seq = p.seq
JOIN logs AS g ON g.id = p.log
JOIN names AS n ON n.id = p.name
LEFT JOIN devices AS d ON d.id = l.device
LEFT JOIN parameters AS x ON x.log = p.log AND x.seq = f.answered AND x.item =
    (SELECT min(y.item) FROM parameters AS y
     WHERE y.log = p.log AND y.seq = f.answered AND y.action = 'refused' AND y.name = p.name)
LEFT JOIN parameters AS o ON (o.log, o.seq, o.item) =
    (SELECT k.log, k.seq, k.item FROM parameters AS k
     WHERE k.device = p.device AND k.name = p.name
       AND (k.at, k.log, k.seq, k.item) < (p.at, p.log, p.seq, p.item)
       AND CASE k.action
           WHEN 'read' THEN true
           WHEN 'set' THEN EXISTS (SELECT 1 FROM rpcs AS b INDEXED BY rpcs_answers WHERE b.log = k.log AND b.answers = k.seq
              AND b.message = 'response' AND b.status IN ('0', '1') AND (b.seq < p.seq OR b.log <> p.log))
           WHEN 'reported' THEN NOT EXISTS (SELECT 1 FROM rpcs AS b INDEXED BY rpcs_answers WHERE b.log = k.log AND b.answers = k.seq
              AND b.message = 'fault' AND (b.seq < p.seq OR b.log <> p.log))
           WHEN 'informed' THEN NOT EXISTS (SELECT 1 FROM rpcs AS b INDEXED BY rpcs_answers WHERE b.log = k.log AND b.answers = k.seq
              AND b.message = 'fault' AND (b.seq < p.seq OR b.log <> p.log))
           END
     ORDER BY k.at DESC, k.log DESC, k.seq DESC, k.item DESC LIMIT 1)
WHERE p.changed;

-- The steps that open and close transfers of one device and key, in order.
-- Requests add one to what is open, completions take one, never below none; an
-- accepted CancelTransfer begins a new era with nothing open; a run lies between
-- two moments with nothing open. Where a completion found two open, nobody can
-- say whose it was, nor whose those behind it in the same run are. A device is
-- part of every window, so that asking for some reads those alone.
CREATE VIEW transfer_steps AS
WITH step AS (
    SELECT t.device, t.command_key, t.at, t.log, t.seq, t.item, t.step,
        f.outcome, f.status, f.fault_code, f.fault_text, f.answered,
        CASE WHEN t.step = 'complete' THEN -1
             WHEN t.step = 'request' AND f.outcome NOT IN ('denied', 'refused', 'undelivered')
                AND coalesce(f.status, '') <> '0' THEN 1
             ELSE 0 END AS way
    FROM transfers AS t
    JOIN fates AS f ON f.log = t.log AND f.seq = t.seq
    WHERE t.step = 'request'
       OR t.step = 'cancel' AND f.outcome = 'accepted'
       -- A CPE says it again where nobody confirmed it. A fault confirms nothing,
       -- nor does a response that did not reach it.
       OR t.step = 'complete' AND NOT EXISTS (
            SELECT 1 FROM transfers AS b
            WHERE (b.log, b.seq, b.item) = (
                    SELECT c.log, c.seq, c.item FROM transfers AS c
                    WHERE c.device = t.device AND c.command_key = t.command_key AND c.step = 'complete'
                      AND (c.at, c.log, c.seq) < (t.at, t.log, t.seq)
                    ORDER BY c.at DESC, c.log DESC, c.seq DESC LIMIT 1)
              AND b.fault_code IS t.fault_code AND b.start_text IS t.start_text AND b.finish_text IS t.finish_text
              AND NOT EXISTS (SELECT 1 FROM rpcs AS a INDEXED BY rpcs_answers
                    WHERE a.log = b.log AND a.answers = b.seq AND a.message = 'response' AND NOT EXISTS (
                        SELECT 1 FROM ledger AS k
                        JOIN sessions AS s ON s.log = k.log AND s.session = k.session AND s.seq > k.seq
                        JOIN json_each(s.undelivered) AS j ON j.value = k.seq
                        WHERE k.log = a.log AND k.seq = a.seq)))
), era AS (
    SELECT *, sum(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at, log, seq, item) AS era,
        max(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at, log, seq, item
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS cancelled
    FROM step
), walk AS (
    SELECT *, sum(way) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item) AS total
    FROM era
), level AS (
    SELECT *, total - min(0, min(total) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item)) AS after
    FROM walk
), opened AS (
    SELECT *, coalesce(lag(after) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item), 0) AS open
    FROM level
), runs AS (
    SELECT *, sum(open = 0 AND way = 1) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item) AS run
    FROM opened
)
SELECT *,
    max(way = -1 AND open > 1) OVER run AS ambiguous,
    max(way = -1 AND open > 0) OVER (PARTITION BY device, command_key, era, run ORDER BY at, log, seq, item
        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS answered_for,
    -- With no ambiguity a run has at most one completion.
    max(CASE WHEN way = -1 AND open > 0 THEN log END) OVER run AS end_log,
    max(CASE WHEN way = -1 AND open > 0 THEN seq END) OVER run AS end_seq,
    max(CASE WHEN way = -1 AND open > 0 THEN item END) OVER run AS end_item
FROM runs
WINDOW run AS (PARTITION BY device, command_key, era, run);

-- The bytes that went through for a request: same device, same path, behind
-- it and before the next request for that path.
CREATE VIEW transfer_bytes AS
SELECT t.log, t.seq, b.at, b.http_status, b.bytes, b.sha256
FROM transfers AS t
LEFT JOIN transfers AS q ON (q.log, q.seq, q.item) =
    (SELECT n.log, n.seq, n.item FROM transfers AS n
     WHERE n.device = t.device AND n.path = t.path AND n.step = 'request'
       AND (n.at, n.log, n.seq) > (t.at, t.log, t.seq)
     ORDER BY n.at, n.log, n.seq LIMIT 1)
JOIN transfers AS b ON b.device = t.device AND b.path = t.path AND b.step = 'bytes'
    AND (b.at, b.log, b.seq) > (t.at, t.log, t.seq)
    AND (b.at, b.log, b.seq) < (coalesce(q.at, 9223372036854775807), coalesce(q.log, 0), coalesce(q.seq, 0))
WHERE t.step = 'request';

-- One row per transfer: the requests with what became of them, and what
-- belongs to no request.
CREATE VIEW view_transfers AS
WITH life AS (
    SELECT w.log, w.seq, w.item, w.device, w.answered, w.status,
        CASE WHEN w.step = 'complete' THEN CASE WHEN w.open = 0 THEN 'unattached' ELSE 'ambiguous' END
            WHEN w.status = '0' AND w.outcome = 'accepted' THEN 'completed'
            WHEN w.way = 0 THEN w.outcome
            WHEN w.ambiguous AND w.answered_for THEN 'ambiguous'
            WHEN w.end_seq IS NOT NULL AND NOT w.ambiguous THEN 'ended'
            WHEN w.cancelled THEN 'cancelled'
            WHEN w.outcome = 'accepted' THEN 'started'
            ELSE w.outcome END AS state,
        w.end_log, w.end_seq, w.end_item, w.fault_code, w.fault_text
    FROM transfer_steps AS w
    WHERE w.step = 'request' OR w.step = 'complete' AND (w.open = 0 OR w.ambiguous)
    UNION ALL
    SELECT t.log, t.seq, t.item, t.device, NULL, NULL,
        CASE WHEN t.step = 'autonomous' THEN 'ended' WHEN t.error IS NOT NULL THEN 'failed' ELSE 'relayed' END,
        t.log, t.seq, t.item, NULL, NULL
    FROM transfers AS t
    WHERE t.step = 'autonomous' OR t.step = 'bytes' AND NOT EXISTS (
        SELECT 1 FROM transfers AS q
        WHERE q.device = t.device AND q.path = t.path AND q.step = 'request'
          AND (q.at, q.log, q.seq) < (t.at, t.log, t.seq))
)
SELECT
    t.at, g.log, t.seq, l.tenant,
    coalesce(d.oui, '') AS oui, coalesce(d.class, '') AS class, coalesce(d.serial, '') AS serial,
    l.identity, l.session, t.acs,
    CASE t.step WHEN 'bytes' THEN t.method ELSE t.rpc END AS rpc,
    t.command_key, t.file_type, t.url, t.file_size, t.target,
    CASE WHEN i.state <> 'ended' THEN i.state
        WHEN coalesce(e.fault_code, '') IN ('', '0') THEN 'completed'
        ELSE 'failed' END AS outcome,
    i.status,
    CASE t.step WHEN 'bytes' THEN t.http_status ELSE
        (SELECT b.http_status FROM transfer_bytes AS b WHERE b.log = t.log AND b.seq = t.seq ORDER BY b.at DESC LIMIT 1) END AS http_status,
    -- A challenge or an error page is no file.
    CASE t.step WHEN 'bytes' THEN CASE WHEN t.http_status / 100 = 2 THEN t.bytes ELSE 0 END ELSE
        (SELECT sum(CASE WHEN b.http_status / 100 = 2 THEN b.bytes ELSE 0 END) FROM transfer_bytes AS b WHERE b.log = t.log AND b.seq = t.seq) END AS bytes,
    CASE t.step WHEN 'bytes' THEN t.sha256 ELSE
        (SELECT b.sha256 FROM transfer_bytes AS b WHERE b.log = t.log AND b.seq = t.seq AND b.sha256 IS NOT NULL ORDER BY b.at DESC LIMIT 1) END AS sha256,
    coalesce(e.start_text, m.start_text, t.start_text) AS start, coalesce(e.finish_text, m.finish_text, t.finish_text) AS finish,
    nullif(coalesce(e.fault_code, i.fault_code, t.fault_code), '0') AS fault_code,
    coalesce(e.fault_text, i.fault_text, t.fault_text) AS fault_text,
    i.answered, CASE WHEN i.state = 'ended' THEN i.end_seq END AS completed,

    t.log AS log_id, i.device AS device_id, t.item, NULL AS "to"
-- CROSS: the lives first, each of the other tables by its key.
FROM life AS i
CROSS JOIN transfers AS t ON t.log = i.log AND t.seq = i.seq AND t.item = i.item
JOIN ledger AS l ON l.log = i.log AND l.seq = i.seq
JOIN logs AS g ON g.id = i.log
LEFT JOIN devices AS d ON d.id = l.device
-- What is done at once says its times in the response.
LEFT JOIN transfers AS m ON i.status = '0' AND m.log = i.log AND m.seq = i.answered AND m.step = 'response'
LEFT JOIN transfers AS e ON i.state = 'ended' AND e.log = i.end_log AND e.seq = i.end_seq AND e.item = i.end_item;
