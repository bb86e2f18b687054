WITH {{template "committed" .}},
r AS (
    SELECT *, toUInt32(0) AS item FROM rpcs
    WHERE seq <= committed[log]{{.Where}}{{.Rows}}
), {{template "fates" .}}
SELECT
    r.at AS at, r.log AS log, r.seq AS seq, r.tenant AS tenant, r.oui AS oui, r.class AS class, r.serial AS serial,
    r.identity AS identity, r.session AS session, r.n AS n, r.sender AS `from`, r.acs AS acs, r.rpc AS rpc, r.to_rpc AS `to`, r.message AS message,
    r.cwmp AS cwmp, r.cwmp_id AS id, nullIf(r.answers, 0) AS answers, r.verdict AS verdict,
    if(r.status != '', r.status, a.answer.2) AS status,
    if(r.fault_code != '', r.fault_code, a.answer.4) AS fault_code, if(r.fault_text != '', r.fault_text, a.answer.5) AS fault_text,
    r.command_key AS command_key, r.parameter_key AS parameter_key, arrayStringConcat(r.events, ', ') AS events, r.parameters AS parameters,
    if(r.message != 'request', '', {{template "outcome"}}) AS outcome,
    nullIf(a.answered, 0) AS answered, r.item AS item
FROM r
{{template "join"}}
