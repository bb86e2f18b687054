{{- /* One row per parameter set, added, deleted, or told with another value than
was known. Known is what a CPE told, from then on, but not what an Inform told
that the ACS answered with a fault, and what it accepted, from its answer on: h has the values in that order, and the latest of those before a
change is its old value. */ -}}
WITH {{template "committed" .}},
r AS (
    SELECT * FROM parameters
    WHERE changed AND seq <= committed[log]{{.Where}}{{.Rows}}
), {{template "fates" .}}, x AS (
    SELECT log, seq, name, argMin(tuple(fault_code, fault_text), item) AS fault
    FROM parameters
    WHERE action = 'refused' AND seq <= committed[log]
    {{- with .From}} AND at >= {{.}}{{end}}{{with .Pairs}} AND (tenant, serial) IN ({{.}}){{end}}{{with .Names}} AND name IN ({{.}}){{end}}
    GROUP BY log, seq, name
), k AS (
    SELECT tenant, serial, lower(oui) AS oui, class, name, at, log, seq, item, action, changed, ifNull(value, '') AS text, value IS NOT NULL AS sent, secret
    FROM parameters
    WHERE action IN ('set', 'add', 'delete', 'attributes', 'reported', 'informed', 'read') AND seq <= committed[log]
        AND NOT (serial = '' AND oui = '' AND class = '' AND manufacturer = '')
    {{- with .To}} AND at <= {{.}}{{end}}{{with .Pairs}} AND (tenant, serial) IN ({{.}}){{end}}{{with .Names}} AND name IN ({{.}}){{end}}
), b AS (
    SELECT log, answers, min(seq) AS accepted, min(at) AS accepted_at
    FROM rpcs
    WHERE answers > 0 AND message = 'response' AND status IN ('0', '1') AND seq <= committed[log]
    {{- with .To}} AND at <= {{.}}{{end}}{{with .Pairs}} AND (tenant, serial) IN ({{.}}){{end}}
    GROUP BY log, answers
), f AS (
    SELECT DISTINCT log, answers
    FROM rpcs
    WHERE answers > 0 AND message = 'fault' AND to_rpc = 'Inform' AND seq <= committed[log]
    {{- with .To}} AND at <= {{.}}{{end}}{{with .Pairs}} AND (tenant, serial) IN ({{.}}){{end}}
), h AS (
    SELECT tenant, serial, oui, class, name, at AS known_at, log AS known_log, seq AS known_seq, item AS known_item,
        action = 'read' OR action IN ('reported', 'informed') AND (log, seq) NOT IN (SELECT log, answers FROM f) AS is_known, tuple(at, log, seq, item, sent, text, secret) AS known, log, seq, item
    FROM k
    UNION ALL
    SELECT k.tenant, k.serial, k.oui, k.class, k.name, b.accepted_at, k.log, b.accepted, k.item,
        true, tuple(k.at, k.log, k.seq, k.item, k.sent, k.text, k.secret), k.log, 0, 0
    FROM k JOIN b ON b.log = k.log AND b.answers = k.seq
    WHERE k.action = 'set'
), o AS (
    SELECT log, seq, item,
        maxIf(known, is_known) OVER (PARTITION BY tenant, serial, oui, class, name ORDER BY known_at, known_log, known_seq, known_item
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last
    FROM h
)
SELECT
    r.at AS at, r.log AS log, r.seq AS seq, r.item AS item, r.tenant AS tenant, r.oui AS oui, r.class AS class, r.serial AS serial,
    r.identity AS identity, r.session AS session, r.acs AS acs, r.rpc AS rpc, r.action AS action, r.name AS parameter,
    if(o.last.5, o.last.6, NULL) AS old, o.last.7 AS old_secret,
    multiIf(
        r.action = 'add', nullIf(a.answer.3, ''),
        r.action = 'attributes', trim(BOTH ' ' FROM concat(
            if(r.notification != '', concat('notification=', r.notification), ''), if(r.access_list != '', concat(' access=', r.access_list), ''))),
        r.value) AS new,
    r.secret AS new_secret, r.type AS type,
    {{template "outcome"}} AS fate,
    multiIf(
        r.action IN ('reported', 'informed') AND a.answer.1 = 'fault', 'refused',
        r.action IN ('reported', 'informed', 'read'), 'reported',
        fate != 'refused' OR r.action != 'set', fate,
        x.seq > 0, 'refused',
        a.answer.6, 'not-applied',
        'refused-no-detail') AS outcome,
    if(x.fault.1 != '', x.fault.1, a.answer.4) AS fault_code, if(x.fault.2 != '', x.fault.2, a.answer.5) AS fault_text,
    r.key AS key, nullIf(a.answered, 0) AS answered
FROM r
{{template "join"}}
LEFT JOIN x ON x.log = r.log AND x.seq = a.answered AND x.name = r.name
LEFT JOIN (SELECT * FROM o WHERE seq > 0) AS o ON o.log = r.log AND o.seq = r.seq AND o.item = r.item
