{{- /* One row per transfer: the requests with what became of them, and what
belongs to no request. The steps of one device and key are walked in order:
requests add one to what is open, completions take one, never below none; an
accepted CancelTransfer begins a new era with nothing open; a run lies between
two moments with nothing open. Where a completion found two open, nobody can say
whose it was, nor whose those behind it in the same run are. A CPE says a
completion again where nobody confirmed it: a fault confirms nothing, nor does a
response that did not reach it. */ -}}
WITH {{template "committed" .}},
r AS (
    SELECT *, tuple(tenant, serial, lower(oui), class) AS device, serial != '' OR oui != '' OR class != '' OR manufacturer != '' AS somebody
    FROM transfers
    WHERE seq <= committed[log]{{.Devices}}
), {{template "fates" .}}, lost AS (
    SELECT DISTINCT log, arrayJoin(undelivered) AS seq FROM s
), confirmed AS (
    SELECT DISTINCT log, answers FROM rpcs
    WHERE answers > 0 AND message = 'response' AND seq <= committed[log] AND (log, seq) NOT IN (SELECT log, seq FROM lost)
    {{- with .From}} AND at >= {{.}}{{end}}{{with .Sessions}} AND session IN ({{.}}){{end}}{{with .Seqs}} AND answers IN ({{.}}){{end}}
), fate AS (
    SELECT r.at AS at, r.log AS log, r.seq AS seq, r.item AS item, r.step AS step, r.device AS device, r.somebody AS somebody, r.command_key AS command_key,
        tuple(r.fault_code, r.fault_text, r.start_text, r.finish_text, a.answered, a.answer.2, a.answer.4, a.answer.5, {{template "outcome"}}) AS says
    FROM r
    {{template "join"}}
    WHERE r.step IN ('request', 'cancel', 'complete')
), said AS (
    SELECT at, log, seq, item, step, device, command_key, says, (log, seq) IN (SELECT log, answers FROM confirmed) AS heard,
        lagInFrame(tuple(somebody, heard, says.1, says.3, says.4)) OVER (PARTITION BY device, somebody, command_key, step ORDER BY at, log, seq, item
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM fate
), eras AS (
    SELECT at, log, seq, item, step, device, command_key, says,
        multiIf(step = 'complete', -1, step = 'request' AND says.9 NOT IN ('denied', 'refused', 'undelivered') AND says.6 != '0', 1, 0) AS way,
        sum(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS era,
        max(step = 'cancel') OVER (PARTITION BY device, command_key ORDER BY at, log, seq, item ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS cancelled
    FROM said
    WHERE step = 'request' OR step = 'cancel' AND says.9 = 'accepted'
        OR step = 'complete' AND before != tuple(true, false, says.1, says.3, says.4)
), walk AS (
    SELECT *, sum(way) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total
    FROM eras
), opened AS (
    SELECT *, total - way - least(0, min(total) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS open
    FROM walk
), runs AS (
    SELECT *, sum(open = 0 AND way = 1) OVER (PARTITION BY device, command_key, era ORDER BY at, log, seq, item ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
    FROM opened
), w AS (
    SELECT log, seq, item, step, says, way, open, cancelled,
        max(way = -1 AND open > 1) OVER (PARTITION BY device, command_key, era, run) AS ambiguous,
        max(way = -1 AND open > 0) OVER (PARTITION BY device, command_key, era, run ORDER BY at, log, seq, item ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS answered_for,
        max(if(way = -1 AND open > 0, tuple(seq, says.1, says.2, says.3, says.4), tuple(toUInt64(0), '', '', '', '')))
            OVER (PARTITION BY device, command_key, era, run) AS ending
    FROM runs
), file AS (
    SELECT *, maxIf(tuple(true, at, log, seq), step = 'request') OVER (PARTITION BY device, somebody, path ORDER BY at, log, seq, item
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS asked
    FROM r WHERE step IN ('request', 'bytes') AND path != '' AND somebody
), moved AS (
    SELECT asked.3 AS log, asked.4 AS seq, argMax(file.http_status, file.at) AS http_status, sum(if(intDiv(file.http_status, 100) = 2, file.bytes, 0)) AS bytes, argMaxIf(sha256, at, sha256 != '') AS sha256
    FROM file WHERE step = 'bytes' AND asked.1
    GROUP BY log, seq
), life AS (
    SELECT log, seq, item, says.5 AS answered, says.6 AS status,
        multiIf(
            step = 'complete', if(open = 0, 'unattached', 'ambiguous'),
            says.6 = '0' AND says.9 = 'accepted', 'completed',
            way = 0, says.9,
            ambiguous AND answered_for, 'ambiguous',
            ending.1 > 0 AND NOT ambiguous, 'ended',
            cancelled, 'cancelled',
            says.9 = 'accepted', 'started',
            says.9) AS state,
        ending AS ended, says.7 AS fault_code, says.8 AS fault_text
    FROM w
    WHERE step = 'request' OR step = 'complete' AND (open = 0 OR ambiguous)
    UNION ALL
    SELECT log, seq, item, 0, '', multiIf(step = 'autonomous', 'ended', error != '', 'failed', 'relayed'),
        tuple(seq, toString(fault_code), fault_text, start_text, finish_text), '', ''
    FROM r
    WHERE step = 'autonomous' OR step = 'bytes' AND (log, seq, item) NOT IN (SELECT log, seq, item FROM file WHERE asked.1)
)
SELECT
    t.at AS at, t.log AS log, t.seq AS seq, t.tenant AS tenant, t.oui AS oui, t.class AS class, t.serial AS serial,
    t.identity AS identity, t.session AS session, t.acs AS acs, if(t.step = 'bytes', t.method, t.rpc) AS rpc,
    t.command_key AS command_key, t.file_type AS file_type, t.url AS url, t.file_size AS file_size, t.target AS target,
    multiIf(i.state != 'ended', i.state, i.ended.2 IN ('', '0'), 'completed', 'failed') AS outcome,
    i.status AS status,
    if(t.step = 'bytes', t.http_status, if(v.seq > 0, v.http_status, NULL)) AS http_status,
    if(t.step = 'bytes', if(intDiv(t.http_status, 100) = 2, t.bytes, 0), if(v.seq > 0, v.bytes, NULL)) AS bytes,
    if(t.step = 'bytes', t.sha256, v.sha256) AS sha256,
    multiIf(i.state = 'ended' AND i.ended.4 != '', i.ended.4, i.status = '0' AND m.start_text != '', m.start_text, t.start_text) AS start,
    multiIf(i.state = 'ended' AND i.ended.5 != '', i.ended.5, i.status = '0' AND m.finish_text != '', m.finish_text, t.finish_text) AS finish,
    ifNull(nullIf(multiIf(i.state = 'ended' AND i.ended.2 != '', i.ended.2, i.fault_code != '', i.fault_code, t.fault_code), '0'), '') AS fault_code,
    multiIf(i.state = 'ended' AND i.ended.3 != '', i.ended.3, i.fault_text != '', i.fault_text, t.fault_text) AS fault_text,
    nullIf(i.answered, 0) AS answered, if(i.state = 'ended', i.ended.1, NULL) AS completed,
    t.item AS item
FROM life AS i
JOIN r AS t ON t.log = i.log AND t.seq = i.seq AND t.item = i.item
LEFT JOIN moved AS v ON t.step = 'request' AND v.log = t.log AND v.seq = t.seq
LEFT JOIN (SELECT log, seq, start_text, finish_text FROM r WHERE step = 'response') AS m ON m.log = i.log AND m.seq = i.answered
WHERE true{{.Where}}
