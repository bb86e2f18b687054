package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/cwmpgate/cwmpgate/audit"
)

// tableColumns are the tables for people; programs get every column by --json.
func tableColumns(v audit.View) []column {
	at := column{"TIME", 19, func(get func(string) any) string { return moment(get("at")) }}
	device := column{"DEVICE", 12, deviceCell}
	tenant := text("TENANT", "tenant", 6)
	switch v {
	case audit.ViewChanges:
		return []column{at, tenant, device, text("ACS", "acs", 8), text("ACTION", "action", 6), text("PARAMETER", "parameter", 24),
			{"OLD", 8, valueCell("old")}, {"NEW", 8, valueCell("new")}, {"OUTCOME", 8, outcomeCell}}
	case audit.ViewTransfers:
		return []column{at, tenant, device, text("RPC", "rpc", 8), text("KEY", "command_key", 6), text("FILE TYPE", "file_type", 8),
			text("URL", "url", 16), {"BYTES", 6, bytesCell("bytes")}, text("SHA-256", "sha256", 9), {"OUTCOME", 8, outcomeCell}}
	case audit.ViewSessions:
		return []column{{"BEGIN", 19, func(get func(string) any) string { return moment(get("begin")) }}, {"TOOK", 5, tookCell}, tenant, device,
			text("SESSION", "session", 16), text("ACS", "acs", 8), text("PEER", "peer", 10), text("TLS", "tls", 4), text("END", "how", 6),
			text("MESSAGES", "messages", 1), text("OPEN", "open", 1), text("UNDELIVERED", "undelivered", 1)}
	case audit.ViewRPCs:
		return []column{at, tenant, device, text("SESSION", "session", 16), text("FROM", "from", 3), text("RPC", "rpc", 12), text("KIND", "message", 5),
			text("ID", "id", 4), text("EVENTS", "events", 8), text("KEY", "command_key", 4), {"OUTCOME", 8, outcomeCell}}
	}
	return nil
}

func text(title, name string, least int) column {
	return column{title, least, func(get func(string) any) string { return plain(get(name)) }}
}

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return moment(v)
	default:
		return fmt.Sprint(v)
	}
}

func moment(v any) string {
	t, ok := v.(time.Time)
	if !ok {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// deviceCell is a device as the audit commands' --device takes it.
func deviceCell(get func(string) any) string {
	oui, serial := plain(get("oui")), plain(get("serial"))
	return strings.Trim(oui+"-"+serial, "-")
}

// valueCell shows a value, the mark of a secret, or a dash where none is known.
func valueCell(name string) func(func(string) any) string {
	return func(get func(string) any) string {
		if v := get(name); v != nil {
			// White space around a value is in --json; here it only hides the value.
			if s := strings.TrimSpace(plain(v)); s != "" {
				return s
			}
			return `""`
		}
		switch mark := plain(get(name + "_secret")); mark {
		case "":
			return "-"
		case "set":
			return "(secret)"
		default:
			return "(secret " + mark[:min(8, len(mark))] + ")"
		}
	}
}

func outcomeCell(get func(string) any) string {
	out := plain(get("outcome"))
	if code := plain(get("fault_code")); code != "" && code != "0" {
		out += " " + code
	}
	return out
}

func bytesCell(name string) func(func(string) any) string {
	return func(get func(string) any) string {
		n, ok := get(name).(int64)
		if !ok || n == 0 {
			return ""
		}
		return humanize.IBytes(uint64(n))
	}
}

func tookCell(get func(string) any) string {
	begin, ok1 := get("begin").(time.Time)
	end, ok2 := get("end").(time.Time)
	if !ok1 || !ok2 {
		return ""
	}
	return end.Sub(begin).Round(time.Millisecond).String()
}
