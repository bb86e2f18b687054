SELECT at, log, seq, kind, tenant, oui, class, serial, session, bytes AS record, toUInt32(0) AS item
FROM ledger AS r
WHERE bytes != ''{{.Where}}{{.Rows}}
