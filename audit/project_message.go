package audit

import (
	"strings"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// messageMember reads one member of a message record. The body comes last, so
// that what it is about is known when it is read.
func (p *Projector) messageMember(name []byte) {
	row := &p.rpc
	switch string(name) {
	case "from":
		row.From = p.str()
	case "acs":
		row.ACS = p.str()
	case "rpc":
		row.RPC = p.str()
	case "to":
		row.To = p.str()
	case "cwmp":
		row.CWMP = p.str()
	case "id":
		row.ID = p.str()
	case "answers":
		row.Answers = p.unsigned()
	case "wrong_id":
		row.WrongID = p.boolean()
	case "verdict":
		row.Verdict = p.str()
	case "body":
		p.expect('{')
		p.body()
	default:
		p.skip()
	}
}

// body reads the members of the body, whichever RPC it is of: the schemas use
// a name for one thing only.
func (p *Projector) body() {
	row, move := &p.rpc, &p.move
	for begun := false; p.next('}', &begun); {
		switch string(p.key()) {
		case "Event":
			p.eventList()
		case "RetryCount":
			row.RetryCount = p.line()
		case "CurrentTime":
			row.CurrentTime = parseMoment(p.line())
		case "ParameterList":
			p.parameters()
		case "ParameterKey":
			row.ParameterKey = p.line()
		case "Status":
			row.Status = p.line()
		case "CommandKey":
			row.CommandKey = p.line()
		case "ObjectName":
			row.Object = p.line()
		case "InstanceNumber":
			row.Instance = p.line()
		case "FileType":
			move.FileType = p.line()
		case "URL", "TransferURL":
			move.URL = p.line()
		case "FileSize":
			move.FileSize = p.line()
		case "TargetFileName":
			move.Target = p.line()
		case "IsDownload":
			move.IsDownload = p.line()
		case "StartTime":
			move.Start = parseMoment(p.line())
		case "CompleteTime":
			move.Finish = parseMoment(p.line())
		case "FaultStruct":
			p.fault(&move.FaultCode, &move.FaultString)
		case "faultcode":
			row.FaultCode = p.line()
		case "faultstring":
			row.FaultString = p.line()
		case "detail":
			p.detail()
		default:
			p.skip()
		}
	}
}

func (p *Projector) detail() {
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		if string(p.key()) != "Fault" {
			p.skip()
			continue
		}
		p.rpc.FaultCode, p.rpc.FaultString = "", ""
		p.fault(&p.rpc.FaultCode, &p.rpc.FaultString)
	}
}

// fault reads a CWMP fault, or that of a completion.
func (p *Projector) fault(code, text *string) {
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		switch string(p.key()) {
		case "FaultCode":
			*code = p.line()
		case "FaultString":
			*text = p.line()
		case "SetParameterValuesFault":
			p.expect('[')
			for begun := false; p.next(']', &begun); {
				p.parameterFault()
			}
		default:
			p.skip()
		}
	}
}

func (p *Projector) parameterFault() {
	p.rpc.FaultDetail = true
	row := ParameterRow{Action: ActionRefused}
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		switch string(p.key()) {
		case "ParameterName":
			row.Name = p.line()
		case "FaultCode":
			row.FaultCode = p.line()
		case "FaultString":
			row.FaultString = p.line()
		default:
			p.skip()
		}
	}
	p.rows.Parameters = append(p.rows.Parameters, row)
}

func (p *Projector) eventList() {
	row := &p.rpc
	p.expect('[')
	for begun := false; p.next(']', &begun); {
		var code, key string
		p.expect('{')
		for begun := false; p.next('}', &begun); {
			switch string(p.key()) {
			case "EventCode":
				code = p.line()
			case "CommandKey":
				key = p.line()
			default:
				p.skip()
			}
		}
		p.events = append(p.events, code)
		p.eventKeys = append(p.eventKeys, key)
		if row.CommandKey == "" {
			row.CommandKey = key
		}
	}
	if len(p.events) > 0 {
		row.Events, row.EventKeys = p.keep(p.events...), p.keep(p.eventKeys...)
	}
}

func (p *Projector) parameters() {
	action := p.action()
	p.expect('[')
	for begun := false; p.next(']', &begun); {
		p.rpc.Parameters++
		if action == "" {
			p.skip()
			continue
		}
		row := p.parameter()
		row.Action = action
		p.rows.Parameters = append(p.rows.Parameters, row)
	}
}

// parameter reads an item of a ParameterList.
func (p *Projector) parameter() (row ParameterRow) {
	var v value
	notify, access := true, true
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		switch name := p.key(); string(name) {
		case "Name":
			row.Name = p.line()
		case "Value":
			v.text, v.sent = p.str(), true
		case "Type":
			row.Type = p.str()
		case "NotificationChange":
			notify = isTrue(p.line())
		case "Notification":
			row.Notification = p.line()
		case "AccessListChange":
			access = isTrue(p.line())
		case "AccessList":
			row.AccessList = p.lines()
		default:
			p.valueMember(name, &v)
		}
	}
	if v.sent {
		row.Value = &p.keep(v.text)[0]
	}
	row.Secret, row.Cut, row.SHA256 = v.secret, v.cut, v.sha256
	if !notify {
		row.Notification = ""
	}
	if !access {
		row.AccessList = ""
	}
	return row
}

func (p *Projector) lines() string {
	var list []string
	p.expect('[')
	for begun := false; p.next(']', &begun); {
		list = append(list, p.line())
	}
	return strings.Join(list, ",")
}

func isTrue(s string) bool { return s == "1" || s == "true" }

// action is what a ParameterList of this message means for its parameters,
// "" where it tells nothing of values.
func (p *Projector) action() string {
	switch p.rpc.RPC {
	case "SetParameterValues":
		return ActionSet
	case "SetParameterAttributes":
		return ActionAttributes
	case "GetParameterValuesResponse":
		return ActionRead
	case "Inform":
		for _, event := range p.rpc.Events {
			if event == "4 VALUE CHANGE" {
				return ActionReported
			}
		}
		return ActionInformed
	}
	return ""
}

// message puts the rows of a message together when all of it is read.
func (p *Projector) message() {
	row := &p.rpc
	row.Head = p.head
	method, kind := cwmp.ParseMethod([]byte(row.RPC))
	row.Message = kind.String()
	c, k := &p.connection, &p.certified
	row.Peer, row.Listener, row.TLS, row.Cipher, row.SNI = c.Peer, c.Listener, c.TLS, c.Cipher, c.SNI
	row.CertificateSubject, row.CertificateSerial, row.CertificateSHA256 = k.Subject, k.Serial, k.SHA256
	row.CertificateNotAfter = k.NotAfter
	p.rows.RPCs = append(p.rows.RPCs, *row)

	if kind == cwmp.KindRequest && (method == cwmp.MethodAddObject || method == cwmp.MethodDeleteObject) {
		action := ActionAdd
		if method == cwmp.MethodDeleteObject {
			action = ActionDelete
		}
		p.rows.Parameters = append(p.rows.Parameters, ParameterRow{Action: action, Name: row.Object})
	}
	mine := p.rows.Parameters[p.firstParameter:]
	for i := range mine {
		q := &mine[i]
		q.Head, q.Item = p.head, i
		q.From, q.ACS, q.RPC, q.Verdict = row.From, row.ACS, row.RPC, row.Verdict
		q.Answers, q.Key = row.Answers, row.ParameterKey
	}
	if step := transferStep(method, kind, row.To); step != "" {
		p.step(step)
	}
}

// transferStep is what a message is in the life of a transfer, "" for none.
func transferStep(method cwmp.Method, kind cwmp.Kind, to string) string {
	if kind == cwmp.KindFault {
		method, _ = cwmp.ParseMethod([]byte(to))
	}
	switch method {
	case cwmp.MethodDownload, cwmp.MethodUpload, cwmp.MethodScheduleDownload:
		if kind == cwmp.KindRequest {
			return StepRequest
		}
		return StepResponse
	}
	if kind != cwmp.KindRequest {
		return ""
	}
	switch method {
	case cwmp.MethodCancelTransfer:
		return StepCancel
	case cwmp.MethodTransferComplete:
		return StepComplete
	case cwmp.MethodAutonomousTransferComplete:
		return StepAutonomous
	}
	return ""
}

func (p *Projector) step(step string) {
	row, move := &p.rpc, &p.move
	move.Head, move.Step = p.head, step
	move.From, move.ACS, move.RPC = row.From, row.ACS, row.RPC
	move.Answers, move.Verdict = row.Answers, row.Verdict
	move.CommandKey, move.Status = row.CommandKey, row.Status
	if step == StepResponse {
		move.FaultCode, move.FaultString = row.FaultCode, row.FaultString
	}
	if move.URL != "" {
		move.Path = pathOf(move.URL)
	}
	p.rows.Transfers = append(p.rows.Transfers, *move)
}
