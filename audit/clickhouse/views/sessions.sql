{{- /* The connection stands in the session's first message, as a rule. */ -}}
WITH {{template "committed" .}},
r AS (
    SELECT *, toUInt32(0) AS item FROM sessions
    WHERE seq <= committed[log]{{.Where}}{{.Rows}}
), c AS (
    SELECT log, session, min(seq) AS first, argMin(tuple(peer, listener, tls, sni, certificate_subject), seq) AS connection
    FROM rpcs
    WHERE peer != '' AND session != ''
    {{- with .Sessions}} AND session IN ({{.}}){{end}}
    GROUP BY log, session
)
SELECT
    r.begun AS `begin`, r.ended AS `end`, r.log AS log, r.seq AS seq, r.tenant AS tenant, r.oui AS oui, r.class AS class, r.serial AS serial,
    r.identity AS identity, r.session AS session, r.acs AS acs, r.acs_node AS acs_node,
    r.peer = '' AND c.first < r.seq AS elsewhere,
    if(elsewhere, c.connection.1, r.peer) AS peer,
    if(elsewhere AND r.listener = '', c.connection.2, r.listener) AS listener,
    if(elsewhere AND r.tls = '', c.connection.3, r.tls) AS tls,
    if(elsewhere AND r.sni = '', c.connection.4, r.sni) AS sni,
    if(elsewhere AND r.certificate = '', c.connection.5, r.certificate) AS certificate,
    r.how AS how, r.messages AS messages, r.empty AS empty, r.bytes_in AS bytes_in, r.bytes_out AS bytes_out,
    length(r.open) AS open, length(r.undelivered) AS undelivered,
    r.at AS at, r.how AS outcome, r.item AS item
FROM r
LEFT JOIN c ON c.log = r.log AND c.session = r.session
