{{- /* One row per transfer: the requests with what became of them, and what
belongs to no request. The steps of one device and key are walked in order:
requests add one to what is open, completions take one, never below none; an
accepted CancelTransfer begins a new era with nothing open; a run lies between
two moments with nothing open. Where a completion found two open, nobody can say
whose it was, nor whose those behind it in the same run are. A CPE says a
completion again where nobody confirmed it: a fault confirms nothing, nor does a
response that did not reach it. */ -}}
WITH {{template "committed"}},
r AS (
    SELECT *, tuple(tenant, serial, lower(oui), class) AS device, serial != '' OR oui != '' OR class != '' OR manufacturer != '' AS somebody
    FROM transfers
    WHERE seq <= committed[log]{{.Devices}}
), {{template "fates" .}}, lost AS (
    SELECT DISTINCT log, arrayJoin(undelivered) AS seq FROM s
), confirmed AS (
    SELECT DISTINCT log, answers FROM rpcs
    WHERE answers > 0 AND message = 'response' AND seq <= committed[log] AND (log, seq) NOT IN (SELECT log, seq FROM lost)
    {{- if .Narrow}} AND session IN (SELECT session FROM r) AND answers IN (SELECT seq FROM r){{end}}
), fate AS (
    SELECT r.at AS at, r.log AS log, r.seq AS seq, r.item AS item, r.step AS step, r.device AS device, r.somebody AS somebody, r.command_key AS command_key,
        r.fault_code AS fault_code, r.start_text AS start_text, r.finish_text AS finish_text, a.answered AS answered, a.answer AS answer, {{template "outcome"}} AS outcome
    FROM r
    {{template "join"}}
    WHERE r.step IN ('request', 'cancel', 'complete')
), said AS (
    SELECT *, (log, seq) IN (SELECT log, answers FROM confirmed) AS heard,
        lagInFrame(tuple(true, heard, fault_code, start_text, finish_text)) OVER (PARTITION BY device, somebody, command_key, step ORDER BY at, log, seq, item
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM fate
), step AS (
    SELECT *,
        multiIf(step = 'complete', -1,
            step = 'request' AND outcome NOT IN ('denied', 'refused', 'undelivered') AND answer.2 != '0', 1,
            0) AS way
    FROM said
    WHERE step = 'request'
        OR step = 'cancel' AND outcome = 'accepted'
        OR step = 'complete' AND NOT (somebody AND before.1 AND NOT before.2 AND before.3 = fault_code AND before.4 = start_text AND before.5 = finish_text)
), era AS (
    SELECT *, sum(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS era,
        max(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at, log, seq, item ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS cancelled
    FROM step
), walk AS (
    SELECT *, sum(way) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total
    FROM era
), level AS (
    SELECT *, total - least(0, min(total) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) AS after
    FROM walk
), opened AS (
    SELECT *, lagInFrame(after, 1, 0) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS open
    FROM level
), runs AS (
    SELECT *, sum(open = 0 AND way = 1) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
    FROM opened
), w AS (
    SELECT *,
        max(way = -1 AND open > 1) OVER (PARTITION BY device, command_key, era, run) AS ambiguous,
        max(way = -1 AND open > 0) OVER (PARTITION BY device, command_key, era, run ORDER BY at, log, seq, item ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS answered_for,
        max(if(way = -1 AND open > 0, tuple(seq, toString(log), item, fault_code, fault_text, start_text, finish_text), tuple(toUInt64(0), '', toUInt32(0), '', '', '', '')))
            OVER (PARTITION BY device, command_key, era, run) AS ending
    FROM runs
), file AS (
    SELECT *, maxIf(tuple(true, at, log, seq), step = 'request') OVER (PARTITION BY device, somebody, path ORDER BY at, log, seq, item
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS asked
    FROM r WHERE step IN ('request', 'bytes') AND path != '' AND somebody
), moved AS (
    SELECT asked.3 AS log, asked.4 AS seq, argMax(http_status, at) AS http_status, sum(bytes) AS bytes, argMaxIf(sha256, at, sha256 != '') AS sha256
    FROM file WHERE step = 'bytes' AND asked.1
    GROUP BY log, seq
), life AS (
    SELECT log, seq, item, answered, answer.2 AS status,
        multiIf(
            step = 'complete', if(open = 0, 'unattached', 'ambiguous'),
            answer.2 = '0' AND outcome = 'accepted', 'completed',
            way = 0, outcome,
            ambiguous AND answered_for, 'ambiguous',
            ending.1 > 0 AND NOT ambiguous, 'ended',
            cancelled, 'cancelled',
            outcome = 'accepted', 'started',
            outcome) AS state,
        ending.1 AS end_seq, ending.4 AS end_fault_code, ending.5 AS end_fault_text, ending.6 AS end_start, ending.7 AS end_finish,
        answer.4 AS fault_code, answer.5 AS fault_text
    FROM w
    WHERE step = 'request' OR step = 'complete' AND (open = 0 OR ambiguous)
    UNION ALL
    SELECT log, seq, item, 0, '', multiIf(step = 'autonomous', 'ended', error != '', 'failed', 'relayed'),
        seq, fault_code, fault_text, start_text, finish_text, '', ''
    FROM r
    WHERE step = 'autonomous' OR step = 'bytes' AND (log, seq, item) NOT IN (SELECT log, seq, item FROM file WHERE asked.1)
)
SELECT
    t.at AS at, t.log AS log, t.seq AS seq, t.tenant AS tenant, t.oui AS oui, t.class AS class, t.serial AS serial,
    t.identity AS identity, t.session AS session, t.acs AS acs, if(t.step = 'bytes', t.method, t.rpc) AS rpc,
    t.command_key AS command_key, t.file_type AS file_type, t.url AS url, t.file_size AS file_size, t.target AS target,
    multiIf(i.state != 'ended', i.state, i.end_fault_code IN ('', '0'), 'completed', 'failed') AS outcome,
    i.status AS status,
    if(t.step = 'bytes', t.http_status, if(v.seq > 0, v.http_status, NULL)) AS http_status,
    if(t.step = 'bytes', t.bytes, if(v.seq > 0, v.bytes, NULL)) AS bytes,
    if(t.step = 'bytes', t.sha256, v.sha256) AS sha256,
    i.state = 'ended' AS ended,
    multiIf(ended AND i.end_start != '', i.end_start, i.status = '0' AND m.start_text != '', m.start_text, t.start_text) AS start,
    multiIf(ended AND i.end_finish != '', i.end_finish, i.status = '0' AND m.finish_text != '', m.finish_text, t.finish_text) AS finish,
    multiIf(ended AND i.end_fault_code != '', i.end_fault_code, i.fault_code != '', i.fault_code, t.fault_code) AS code, if(code = '0', '', code) AS fault_code,
    multiIf(ended AND i.end_fault_text != '', i.end_fault_text, i.fault_text != '', i.fault_text, t.fault_text) AS fault_text,
    nullIf(i.answered, 0) AS answered, if(ended, i.end_seq, NULL) AS completed,
    t.item AS item
FROM life AS i
JOIN r AS t ON t.log = i.log AND t.seq = i.seq AND t.item = i.item
LEFT JOIN moved AS v ON t.step = 'request' AND v.log = t.log AND v.seq = t.seq
LEFT JOIN (SELECT log, seq, start_text, finish_text FROM r WHERE step = 'response') AS m ON m.log = i.log AND m.seq = i.answered
WHERE true{{.Where}}
