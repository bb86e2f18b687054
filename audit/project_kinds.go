package audit

import (
	"strings"
	"time"
)

func (p *Projector) sessionMember(name []byte, row *SessionRow) {
	switch string(name) {
	case "acs":
		row.ACS = p.str()
	case "acs_node":
		row.ACSNode = p.str()
	case "begin":
		row.Begin = p.moment()
	case "end":
		row.End = p.moment()
	case "how":
		row.How = p.str()
	case "messages":
		row.Messages = int(p.integer())
	case "empty":
		row.Empty = int(p.integer())
	case "bytes_in":
		row.BytesIn = p.integer()
	case "bytes_out":
		row.BytesOut = p.integer()
	case "open":
		row.Open = p.numbers()
	case "undelivered":
		row.Undelivered = p.numbers()
	default:
		p.skip()
	}
}

func (p *Projector) transferMember(name []byte, row *TransferRow) {
	switch string(name) {
	case "acs":
		row.ACS = p.str()
	case "peer":
		row.Peer = p.str()
	case "method":
		row.Method = p.str()
	case "url":
		row.URL = p.str()
		row.Path = pathOf(row.URL)
	case "status":
		row.HTTPStatus = int(p.integer())
	case "bytes":
		row.Bytes = p.integer()
	case "sha256":
		row.SHA256 = p.str()
	case "began":
		row.Began = p.moment()
	case "duration_us":
		row.DurationMicros = p.integer()
	case "range":
		row.Range = p.boolean()
	case "complete":
		row.Complete = p.boolean()
	case "error":
		row.Error = p.str()
	default:
		p.skip()
	}
}

// pathOf is the path of a URL or request target, "/" where it has none.
func pathOf(url string) string {
	if i := strings.Index(url, "://"); i >= 0 {
		url = url[i+3:]
		slash := strings.IndexAny(url, "/?#")
		if slash < 0 {
			return "/"
		}
		url = url[slash:]
	}
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	if !strings.HasPrefix(url, "/") {
		return "/" + url
	}
	return url
}

func (p *Projector) refusalMember(name []byte, row *RefusalRow) {
	switch string(name) {
	case "from":
		row.From = p.str()
	case "acs":
		row.ACS = p.str()
	case "reason":
		row.Reason = p.str()
	case "offset":
		row.Offset = p.integer()
	case "path":
		row.Path = p.str()
	case "size":
		row.Size = p.integer()
	case "status":
		row.Status = int(p.integer())
	case "peer":
		row.Peer = p.str()
	case "listener":
		row.Listener = p.str()
	case "count":
		row.Count = int(p.integer())
	default:
		p.skip()
	}
}

func (p *Projector) securityMember(name []byte, row *SecurityRow) {
	switch string(name) {
	case "acs":
		row.ACS = p.str()
	case "reason":
		row.Reason = p.str()
	case "claimed":
		row.Claimed = p.str()
	case "verified":
		row.Verified = p.str()
	case "peer":
		row.Peer = p.str()
	case "listener":
		row.Listener = p.str()
	case "count":
		row.Count = int(p.integer())
	default:
		p.skip()
	}
}

func (p *Projector) decisionMember(name []byte, row *DecisionRow) {
	switch string(name) {
	case "acs":
		row.ACS = p.str()
	case "by":
		row.By = p.str()
	case "reason":
		row.Reason = p.str()
	case "limit":
		row.Limit = p.str()
	case "class":
		row.Class = p.str()
	case "status":
		row.Status = int(p.integer())
	case "peer":
		row.Peer = p.str()
	case "source":
		row.Source = p.str()
	case "listener":
		row.Listener = p.str()
	case "count":
		row.Count = int(p.integer())
	default:
		p.skip()
	}
}

func (p *Projector) systemMember(name []byte, row *SystemRow) {
	switch string(name) {
	case "what":
		row.What = p.str()
	case "why":
		row.Why = p.str()
	case "detail":
		row.Detail = p.raw()
	default:
		p.skip()
	}
}

// The years that every store can hold.
const firstYear, lastYear = 1970, 2262

// parseMoment reads an xsd:dateTime with a zone. Whatever else a CPE sends as
// a time stays the text that it is: year 0001 is CWMP's Unknown Time, and
// relative times begin with it too (TR-069 section 3.2).
func parseMoment(text string) Moment {
	m := Moment{Text: text}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return m
	}
	t = t.UTC().Truncate(time.Microsecond)
	// 2262-04-11 is where nanoseconds since 1970 end.
	if t.Year() < firstYear || t.Year() >= lastYear && t.After(lastMoment()) {
		return m
	}
	m.Time = t
	return m
}

func lastMoment() time.Time { return time.Unix(0, 1<<63-1) }
