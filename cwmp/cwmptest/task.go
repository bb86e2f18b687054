package cwmptest

import (
	"strconv"
	"strings"
)

// Task is one RPC for an ACS to send. The functions below make them; a Method
// of another name is sent with Inner as it stands.
type Task struct {
	Method     string
	Parameters []Parameter // of SetParameterValues
	Names      []string    // of GetParameterValues, GetParameterAttributes
	Path       string      // of GetParameterNames, AddObject, DeleteObject
	NextLevel  bool
	Key        string // ParameterKey or CommandKey; the message's ID where empty
	FileType   string
	URL        string // one that begins with "/" is completed by the ACS
	Username   string
	Password   string
	Delay      int    // seconds
	Inner      string // XML inside the RPC, for any other method
}

// GetParameterValues asks for parameters and partial paths.
func GetParameterValues(names ...string) Task {
	return Task{Method: "GetParameterValues", Names: names}
}

// SetParameterValues sets parameters.
func SetParameterValues(parameters ...Parameter) Task {
	return Task{Method: "SetParameterValues", Parameters: parameters}
}

// GetParameterNames asks what is under a path.
func GetParameterNames(path string, nextLevel bool) Task {
	return Task{Method: "GetParameterNames", Path: path, NextLevel: nextLevel}
}

// GetParameterAttributes asks for notification and access.
func GetParameterAttributes(names ...string) Task {
	return Task{Method: "GetParameterAttributes", Names: names}
}

// AddObject adds an instance to a table, whose path ends in a dot.
func AddObject(table string) Task { return Task{Method: "AddObject", Path: table} }

// DeleteObject deletes an instance, whose path ends in a dot.
func DeleteObject(instance string) Task { return Task{Method: "DeleteObject", Path: instance} }

// Download has the device fetch a file, "1 Firmware Upgrade Image" for one.
func Download(key, fileType, url string) Task {
	return Task{Method: "Download", Key: key, FileType: fileType, URL: url}
}

// Upload has the device send a file, "1 Vendor Configuration File" for one.
func Upload(key, fileType, url string) Task {
	return Task{Method: "Upload", Key: key, FileType: fileType, URL: url}
}

// Reboot has the device boot.
func Reboot(key string) Task { return Task{Method: "Reboot", Key: key} }

// FactoryReset has the device forget what was set.
func FactoryReset() Task { return Task{Method: "FactoryReset"} }

// ScheduleInform asks for an Inform later.
func ScheduleInform(seconds int, key string) Task {
	return Task{Method: "ScheduleInform", Delay: seconds, Key: key}
}

// GetRPCMethods asks what the device knows.
func GetRPCMethods() Task { return Task{Method: "GetRPCMethods"} }

// rpc writes the RPC of a task whose Key and URL are complete.
func (t Task) rpc() string {
	inner := t.Inner
	switch t.Method {
	case "GetParameterValues", "GetParameterAttributes":
		inner = nameList("ParameterNames", t.Names)
	case "SetParameterValues":
		inner = parameterList(t.Parameters) + element("ParameterKey", t.Key)
	case "GetParameterNames":
		inner = element("ParameterPath", t.Path) + element("NextLevel", strconv.FormatBool(t.NextLevel))
	case "AddObject", "DeleteObject":
		inner = element("ObjectName", t.Path) + element("ParameterKey", t.Key)
	case "Reboot":
		inner = element("CommandKey", t.Key)
	case "ScheduleInform":
		inner = element("DelaySeconds", strconv.Itoa(t.Delay)) + element("CommandKey", t.Key)
	case "Download":
		inner = element("CommandKey", t.Key) + element("FileType", t.FileType) + element("URL", t.URL) +
			element("Username", t.Username) + element("Password", t.Password) + element("FileSize", "0") +
			element("TargetFileName", "") + element("DelaySeconds", strconv.Itoa(t.Delay)) +
			element("SuccessURL", "") + element("FailureURL", "")
	case "Upload":
		inner = element("CommandKey", t.Key) + element("FileType", t.FileType) + element("URL", t.URL) +
			element("Username", t.Username) + element("Password", t.Password) + element("DelaySeconds", strconv.Itoa(t.Delay))
	}
	return "<cwmp:" + t.Method + ">" + inner + "</cwmp:" + t.Method + ">"
}

// completed fills in what the caller left to the ACS.
func (t Task) completed(id, base string) Task {
	if t.Key == "" {
		t.Key = id
	}
	if strings.HasPrefix(t.URL, "/") {
		t.URL = base + t.URL
	}
	return t
}
