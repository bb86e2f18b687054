package cwmptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// leaf is a parameter of a data model.
type leaf struct {
	Parameter
	writable     bool
	hidden       bool // reads as "" (TR-069: passwords)
	afterReboot  bool // a change takes effect with the next boot: Status 1
	notification int
	access       string
}

// table is an object of which instances can be added and deleted.
type table struct {
	next    int
	most    int // instances it can hold
	columns []leaf
}

// model is the data model of one device. Its methods may be called at once.
type model struct {
	mu     sync.Mutex
	root   string
	leaves []*leaf
	byName map[string]*leaf
	tables map[string]*table
}

func newModel(root string, id Identity, acsURL, requestURL string) *model {
	m := &model{root: root, byName: map[string]*leaf{}, tables: map[string]*table{}}
	ro := func(name, value string) { m.put(leaf{Parameter: Parameter{root + name, value, "string"}}) }
	rw := func(name, value, kind string) {
		m.put(leaf{Parameter: Parameter{root + name, value, kind}, writable: true})
	}
	secret := func(name, value string) {
		m.put(leaf{Parameter: Parameter{root + name, value, "string"}, writable: true, hidden: true})
	}
	ro("DeviceInfo.Manufacturer", id.Manufacturer)
	ro("DeviceInfo.ManufacturerOUI", id.OUI)
	ro("DeviceInfo.ProductClass", id.ProductClass)
	ro("DeviceInfo.SerialNumber", id.Serial)
	ro("DeviceInfo.SpecVersion", "1.0")
	ro("DeviceInfo.HardwareVersion", "2.1")
	ro("DeviceInfo.SoftwareVersion", "1.0.0")
	rw("DeviceInfo.ProvisioningCode", "", "string")
	m.put(leaf{Parameter: Parameter{root + "DeviceInfo.UpTime", "1", "unsignedInt"}})
	rw("ManagementServer.URL", acsURL, "string")
	rw("ManagementServer.Username", id.OUI+"-"+id.Serial, "string")
	secret("ManagementServer.Password", "")
	rw("ManagementServer.PeriodicInformEnable", "1", "boolean")
	rw("ManagementServer.PeriodicInformInterval", "86400", "unsignedInt")
	rw("ManagementServer.PeriodicInformTime", "0001-01-01T00:00:00Z", "dateTime")
	ro("ManagementServer.ParameterKey", "")
	m.put(leaf{Parameter: Parameter{root + "ManagementServer.ConnectionRequestURL", requestURL, "string"}, notification: 2})
	rw("ManagementServer.ConnectionRequestUsername", "", "string")
	secret("ManagementServer.ConnectionRequestPassword", "")
	rw("ManagementServer.UpgradesManaged", "1", "boolean")
	rw("Time.NTPServer1", "ntp.example.net", "string")
	rw("Time.LocalTimeZone", "UTC0", "string")
	ro("X_00005E_Status.Temperature", "41")
	rw("X_00005E_Status.Label", "Büro <1> & \"Flur\"", "string")
	m.fillNetwork(ro, rw, secret)
	return m
}

func (m *model) fillNetwork(ro func(name, value string), rw func(name, value, kind string), secret func(name, value string)) {
	lan, wlan, wan, mapping := "LANDevice.1.LANHostConfigManagement.", "LANDevice.1.WLANConfiguration.1.",
		"WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.", "PortMapping."
	if m.root == "Device." {
		lan, wlan, wan, mapping = "DHCPv4.Server.Pool.1.", "WiFi.SSID.1.", "IP.Interface.1.", "NAT.PortMapping."
	} else {
		mapping = wan + mapping
	}
	rw(lan+"MinAddress", "192.0.2.100", "string")
	rw(lan+"MaxAddress", "192.0.2.199", "string")
	rw(lan+"DNSServers", "192.0.2.53", "string")
	rw(lan+"Enable", "1", "boolean")
	rw(wlan+"Enable", "1", "boolean")
	rw(wlan+"SSID", "example", "string")
	ro(wlan+"BSSID", "00:00:5E:00:53:01")
	secret(wlan+"KeyPassphrase", "not a secret")
	m.put(leaf{Parameter: Parameter{m.root + wlan + "Channel", "6", "unsignedInt"}, writable: true, afterReboot: true})
	ro(wan+"ExternalIPAddress", "192.0.2.77")
	rw(wan+"MaxMTUSize", "1492", "unsignedInt")
	rw(wan+"Enable", "1", "boolean")
	ro(wan+"Uptime", "9")
	m.tables[m.root+mapping] = &table{next: 1, most: 4, columns: []leaf{
		{Parameter: Parameter{"PortMappingEnabled", "0", "boolean"}, writable: true},
		{Parameter: Parameter{"ExternalPort", "0", "unsignedInt"}, writable: true},
		{Parameter: Parameter{"InternalClient", "", "string"}, writable: true},
	}}
}

func (m *model) put(l leaf) {
	m.leaves = append(m.leaves, &l)
	m.byName[l.Name] = &l
}

func (m *model) value(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.byName[m.root+name]; l != nil {
		return l.Value
	}
	return ""
}

// force sets a parameter as the device itself does; notify says that the ACS
// wants to hear of it.
func (m *model) force(name, value string) (notify bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.byName[m.root+name]
	if l == nil || l.Value == value {
		return false
	}
	l.Value = value
	return l.notification == 2
}

// under calls f for the leaf of that name, or all below a partial path.
func (m *model) under(path string, f func(*leaf)) (found bool) {
	if l := m.byName[path]; l != nil {
		f(l)
		return true
	}
	if path != "" && !strings.HasSuffix(path, ".") {
		return false
	}
	_, found = m.tables[path]
	for _, l := range m.leaves {
		if strings.HasPrefix(l.Name, path) {
			f(l)
			found = true
		}
	}
	return found
}

func (m *model) get(paths []string) ([]Parameter, *Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Parameter
	for _, path := range paths {
		found := m.under(path, func(l *leaf) {
			p := l.Parameter
			if l.hidden {
				p.Value = ""
			}
			list = append(list, p)
		})
		if !found {
			return nil, &Fault{Code: "9005", Text: "Invalid parameter name"}
		}
	}
	return list, nil
}

// names lists name and writability in the order of the model, objects before
// what is in them.
func (m *model) names(path string, nextLevel bool) ([]string, []bool, *Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	var writable []bool
	add := func(name string, w bool) {
		if !slices.Contains(names, name) {
			names, writable = append(names, name), append(writable, w)
		}
	}
	if !nextLevel && strings.HasSuffix(path, ".") {
		add(path, false)
	}
	found := m.under(path, func(l *leaf) {
		rest := l.Name[len(path):]
		for i := range len(rest) {
			if rest[i] != '.' {
				continue
			}
			name := l.Name[:len(path)+i+1]
			_, isTable := m.tables[name]
			add(name, isTable)
			if nextLevel {
				return
			}
		}
		add(l.Name, l.writable)
	})
	if !found {
		return nil, nil, &Fault{Code: "9005", Text: "Invalid parameter name"}
	}
	return names, writable, nil
}

func badValue(kind, value string) bool {
	var err error
	switch kind {
	case "boolean":
		return value != "0" && value != "1" && value != "true" && value != "false"
	case "unsignedInt":
		_, err = strconv.ParseUint(value, 10, 32)
	case "int":
		_, err = strconv.ParseInt(value, 10, 32)
	}
	return err != nil
}

// set changes all of them or none (TR-069 A.3.2.1).
func (m *model) set(list []Parameter, key string) (status string, f *Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f = &Fault{Code: "9003", Text: "Invalid arguments"}
	refuse := func(name, code, text string) {
		f.Parameters = append(f.Parameters, ParameterFault{Name: name, Code: code, Text: text})
	}
	status = "0"
	for _, p := range list {
		l := m.byName[p.Name]
		switch {
		case l == nil:
			refuse(p.Name, "9005", "Invalid parameter name")
		case !l.writable:
			refuse(p.Name, "9008", "Attempt to set a non-writable parameter")
		case badValue(l.Type, p.Value):
			refuse(p.Name, "9007", "Invalid parameter value")
		case l.afterReboot && l.Value != p.Value:
			status = "1"
		}
	}
	if len(f.Parameters) > 0 {
		return "", f
	}
	for _, p := range list {
		m.byName[p.Name].Value = p.Value
	}
	m.byName[m.root+"ManagementServer.ParameterKey"].Value = key
	return status, nil
}

func (m *model) add(object string) (instance int, f *Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[object]
	if t == nil {
		return 0, &Fault{Code: "9005", Text: "Invalid parameter name"}
	}
	count := 0
	m.under(object, func(*leaf) { count++ })
	if count >= t.most*len(t.columns) {
		return 0, &Fault{Code: "9004", Text: "Resources exceeded"}
	}
	instance = t.next
	t.next++
	for _, column := range t.columns {
		column.Name = fmt.Sprintf("%s%d.%s", object, instance, column.Name)
		m.put(column)
	}
	return instance, nil
}

func (m *model) remove(object string) *Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	parent := object[:strings.LastIndexByte(strings.TrimSuffix(object, "."), '.')+1]
	before := len(m.leaves)
	if m.tables[parent] != nil && strings.HasSuffix(object, ".") {
		m.leaves = slices.DeleteFunc(m.leaves, func(l *leaf) bool {
			gone := strings.HasPrefix(l.Name, object)
			if gone {
				delete(m.byName, l.Name)
			}
			return gone
		})
	}
	if len(m.leaves) == before {
		return &Fault{Code: "9005", Text: "Invalid parameter name"}
	}
	return nil
}

// attribute is what GetParameterAttributes tells of a parameter.
type attribute struct {
	name         string
	notification int
	access       string
}

func (m *model) attributes(paths []string) (list []attribute, f *Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, path := range paths {
		if !m.under(path, func(l *leaf) { list = append(list, attribute{l.Name, l.notification, l.access}) }) {
			return nil, &Fault{Code: "9005", Text: "Invalid parameter name"}
		}
	}
	return list, nil
}

func (m *model) setAttributes(name, notification, access string, setNotification, setAccess bool) *Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	level, err := strconv.Atoi(notification)
	if setNotification && (err != nil || level < 0 || level > 2) {
		return &Fault{Code: "9003", Text: "Invalid arguments"}
	}
	found := m.under(name, func(l *leaf) {
		if setNotification {
			l.notification = level
		}
		if setAccess {
			l.access = access
		}
	})
	if !found {
		return &Fault{Code: "9005", Text: "Invalid parameter name"}
	}
	return nil
}
