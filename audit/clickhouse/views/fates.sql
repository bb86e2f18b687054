{{- /* What all views share. A cut is in the store once its records are in the
ledger: rows of projections that come before them are not shown yet. Only the
end of a log can be so, and committed says where that is.

r are the rows that a view is about. Where a reader narrows them, the other
tables are narrowed to what belongs to them. */ -}}

{{- define "committed" -}}
{{if .Committed}}{{.Committed}}{{else}}(SELECT mapFromArrays(groupArray(log), groupArray(tail)) FROM (SELECT toString(log) AS log, max(seq) AS tail FROM ledger GROUP BY log)){{end}} AS committed
{{- end -}}

{{- define "fates" -}}
a AS (
    SELECT log, answers, max(seq) AS answered, argMax(tuple(message, status, instance, fault_code, fault_text, fault_detail), seq) AS answer
    FROM rpcs
    WHERE answers > 0 AND seq <= committed[log]
    {{- with .From}} AND at >= {{.}}{{end}}{{with .Sessions}} AND session IN ({{.}}){{end}}{{with .Seqs}} AND answers IN ({{.}}){{end}}
    GROUP BY log, answers
), s AS (
    SELECT log, session, seq, how, undelivered FROM sessions
    WHERE seq <= committed[log]
    {{- with .From}} AND at >= {{.}}{{end}}{{with .Sessions}} AND session IN ({{.}}){{end}}
), y AS (
    SELECT log, max(seq) AS started FROM system WHERE what = 'start' AND seq <= committed[log] GROUP BY log
)
{{- end -}}

{{- define "join" -}}
LEFT JOIN a ON a.log = r.log AND a.answers = r.seq
ASOF LEFT JOIN s ON s.log = r.log AND s.session = r.session AND s.seq > r.seq
LEFT JOIN y ON y.log = r.log
{{- end -}}

{{- define "outcome" -}}
multiIf(
        r.verdict = 'deny', 'denied',
        r.verdict = 'orphan', 'undelivered',
        a.answer.1 = 'response', multiIf(
            r.rpc NOT IN ('SetParameterValues', 'AddObject', 'DeleteObject', 'Download', 'Upload') OR a.answer.2 = '0', 'accepted',
            a.answer.2 != '1', 'unclear',
            r.rpc IN ('Download', 'Upload'), 'accepted',
            'accepted-after-reboot'),
        a.answer.1 = 'fault', 'refused',
        s.seq > 0, multiIf(has(s.undelivered, r.seq), 'undelivered', s.how IN ('clean', 'acs-error'), 'unanswered', 'unknown'),
        y.started > r.seq, 'unknown',
        'unanswered')
{{- end -}}
