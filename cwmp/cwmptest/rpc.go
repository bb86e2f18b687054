package cwmptest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cpeMethods are what GetRPCMethods answers.
func cpeMethods() []string {
	return []string{"GetRPCMethods", "SetParameterValues", "GetParameterValues", "GetParameterNames",
		"SetParameterAttributes", "GetParameterAttributes", "AddObject", "DeleteObject", "Download", "Upload",
		"Reboot", "FactoryReset", "ScheduleInform", "GetAllQueuedTransfers"}
}

func (d *Device) nextID() string {
	d.serial++
	return MessageID(d.cfg.Identity.Serial, d.serial)
}

func (d *Device) envelope(id, rpc string) []byte {
	e := Envelope{Version: d.cfg.Version, ID: id, RPC: rpc, Spaces: d.cfg.Quirks.SpacesEverywhere, Latin1: d.cfg.Quirks.Latin1}
	return e.Append(nil)
}

// informed are the parameters of an Inform (TR-069 3.7.1.5, forced ones).
func (d *Device) informed() []Parameter {
	root := d.cfg.Root
	list, f := d.model.get([]string{root + "DeviceInfo.SpecVersion", root + "DeviceInfo.HardwareVersion",
		root + "DeviceInfo.SoftwareVersion", root + "DeviceInfo.ProvisioningCode", root + "ManagementServer.ConnectionRequestURL",
		root + "ManagementServer.ParameterKey", root + "DeviceInfo.SerialNumber"})
	if f != nil {
		panic("BUG: a parameter of every Inform is not in the model")
	}
	return list
}

// answer is the message that answers an RPC of the ACS.
func (v *visit) answer(m *message, got *Received) []byte {
	d, q := v.d, v.d.cfg.Quirks
	rpc, f := "", (*Fault)(nil)
	if d.chance(d.cfg.FaultRate) {
		f = d.inventFault(m)
		if m.method == "SetParameterValues" {
			note(d, &d.truth.sets, SetResult{m.id, m.rpc.parameters(), m.rpc.value("ParameterKey"), "", f})
		}
	} else {
		rpc, f = v.perform(m)
	}
	if f != nil {
		rpc = FaultRPC(*f)
		d.mu.Lock()
		got.Fault = f
		d.mu.Unlock()
	}
	id := m.id
	switch {
	case q.NoID:
		id = ""
	case q.WrongID:
		id = "wrong-" + strconv.FormatUint(d.serial, 10)
	}
	return d.envelope(id, rpc)
}

// inventFault is a fault that fits the RPC but has no reason.
func (d *Device) inventFault(m *message) *Fault {
	d.mu.Lock()
	kind := d.random.IntN(3)
	d.mu.Unlock()
	switch list := m.rpc.parameters(); {
	case kind == 0:
		return &Fault{Code: "9002", Text: "Internal error"}
	case m.method == "SetParameterValues" && kind == 1 && len(list) > 0:
		f := &Fault{Code: "9003", Text: "Invalid arguments"}
		for _, p := range list[:(len(list)+1)/2] {
			f.Parameters = append(f.Parameters, ParameterFault{p.Name, "9007", "Invalid parameter value"})
		}
		return f
	case strings.HasPrefix(m.method, "GetParameter"):
		return &Fault{Code: "9005", Text: "Invalid parameter name"}
	case m.method == "Download":
		return &Fault{Code: "9010", Text: "Download failure"}
	case m.method == "Upload":
		return &Fault{Code: "9011", Text: "Upload failure"}
	}
	return &Fault{Code: "9003", Text: "Invalid arguments"}
}

// perform does what an RPC asks for.
func (v *visit) perform(m *message) (rpc string, f *Fault) {
	d := v.d
	switch m.method {
	case "GetRPCMethods":
		return methodList(cpeMethods()), nil
	case "GetParameterValues":
		list, f := d.model.get(strs(m.rpc.child("ParameterNames")))
		return ValuesRPC(list), f
	case "GetParameterNames":
		return d.parameterNames(m.rpc)
	case "SetParameterValues":
		return d.setValues(m)
	case "GetParameterAttributes":
		return d.getAttributes(m.rpc)
	case "SetParameterAttributes":
		return d.setAttributes(m.rpc)
	case "AddObject":
		n, f := d.model.add(m.rpc.value("ObjectName"))
		return response(m.method, element("InstanceNumber", strconv.Itoa(n))+element("Status", "0")), f
	case "DeleteObject":
		return response(m.method, element("Status", "0")), d.model.remove(m.rpc.value("ObjectName"))
	case "Download", "Upload":
		return v.transfer(m)
	case "Reboot":
		d.raise(Event{Code: "1 BOOT"}, Event{"M Reboot", m.rpc.value("CommandKey")})
		return response(m.method, ""), nil
	case "FactoryReset":
		d.reset()
		return response(m.method, ""), nil
	case "ScheduleInform":
		d.raise(Event{Code: "3 SCHEDULED"}, Event{"M ScheduleInform", m.rpc.value("CommandKey")})
		return response(m.method, ""), nil
	case "GetAllQueuedTransfers":
		return response(m.method, d.queuedTransfers()), nil
	}
	return "", &Fault{Code: "9000", Text: "Method not supported"}
}

func response(method, inner string) string {
	return "<cwmp:" + method + "Response>" + inner + "</cwmp:" + method + "Response>"
}

// strs reads a list of strings.
func strs(list *node) []string {
	var names []string
	for _, n := range list.items() {
		names = append(names, strings.TrimSpace(n.Text))
	}
	return names
}

func (d *Device) parameterNames(rpc *node) (string, *Fault) {
	next := rpc.value("NextLevel")
	names, writable, f := d.model.names(rpc.value("ParameterPath"), next == "1" || next == "true")
	items := make([]string, len(names))
	for i, n := range names {
		w := "0"
		if writable[i] {
			w = "1"
		}
		items[i] = "<ParameterInfoStruct>" + element("Name", n) + element("Writable", w) + "</ParameterInfoStruct>"
	}
	return response("GetParameterNames", array("ParameterList", "cwmp:ParameterInfoStruct", items)), f
}

func (d *Device) setValues(m *message) (string, *Fault) {
	list, key := m.rpc.parameters(), m.rpc.value("ParameterKey")
	status, f := d.model.set(list, key)
	note(d, &d.truth.sets, SetResult{m.id, list, key, status, f})
	return response(m.method, element("Status", status)), f
}

func (d *Device) getAttributes(rpc *node) (string, *Fault) {
	list, f := d.model.attributes(strs(rpc.child("ParameterNames")))
	items := make([]string, len(list))
	for i, a := range list {
		var access []string
		if a.access != "" {
			access = strings.Split(a.access, ",")
		}
		items[i] = "<ParameterAttributeStruct>" + element("Name", a.name) + element("Notification", strconv.Itoa(a.notification)) +
			nameList("AccessList", access) + "</ParameterAttributeStruct>"
	}
	return response("GetParameterAttributes", array("ParameterList", "cwmp:ParameterAttributeStruct", items)), f
}

func (d *Device) setAttributes(rpc *node) (string, *Fault) {
	for _, item := range rpc.child("ParameterList").items() {
		yes := func(name string) bool { v := item.value(name); return v == "1" || v == "true" }
		f := d.model.setAttributes(item.value("Name"), item.value("Notification"), strings.Join(strs(item.child("AccessList")), ","),
			yes("NotificationChange"), yes("AccessListChange"))
		if f != nil {
			return "", f
		}
	}
	return response("SetParameterAttributes", ""), nil
}

// reset brings the model back to what it was.
func (d *Device) reset() {
	fresh := newModel(d.cfg.Root, d.cfg.Identity, d.cfg.URL, d.cfg.ConnectionRequestURL)
	d.model.mu.Lock()
	d.model.leaves, d.model.byName, d.model.tables = fresh.leaves, fresh.byName, fresh.tables
	d.model.mu.Unlock()
	d.mu.Lock()
	d.pending = []Event{{Code: "0 BOOTSTRAP"}, {Code: "1 BOOT"}}
	d.mu.Unlock()
}

func (d *Device) queuedTransfers() string {
	var items []string
	for _, t := range d.Transfers() {
		if !t.Answered && !t.InSession {
			items = append(items, "<AllQueuedTransferStruct>"+element("CommandKey", t.CommandKey)+element("State", "1")+
				element("IsDownload", strconv.FormatBool(t.Method == "GET"))+element("FileType", t.FileType)+
				element("FileSize", "0")+element("TargetFileName", "")+"</AllQueuedTransferStruct>")
		}
	}
	return array("TransferList", "cwmp:AllQueuedTransferStruct", items)
}

func cwmpTime(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T00:00:00Z" // the unknown time of TR-106
	}
	return t.UTC().Format(time.RFC3339)
}

func transferResponse(method string, t *Transfer) string {
	status, start, complete := "1", time.Time{}, time.Time{}
	if t.InSession {
		status, start, complete = "0", t.Started, t.Completed
	}
	return response(method, element("Status", status)+element("StartTime", cwmpTime(start))+element("CompleteTime", cwmpTime(complete)))
}

func completionRPC(t *Transfer) string {
	return fmt.Sprintf("<cwmp:TransferComplete>%s<FaultStruct>%s%s</FaultStruct>%s%s</cwmp:TransferComplete>",
		element("CommandKey", t.CommandKey), element("FaultCode", t.FaultCode), element("FaultString", t.FaultString),
		element("StartTime", cwmpTime(t.Started)), element("CompleteTime", cwmpTime(t.Completed)))
}
