package cwmp

import "math/bits"

// EventKind is what one event code of an Inform says (TR-069 Amendment 6, section
// 3.7.1.5). The kinds of the numbered codes stand in their order.
type EventKind uint8

const (
	EventUnknown EventKind = iota
	EventBootstrap
	EventBoot
	EventPeriodic
	EventScheduled
	EventValueChange
	EventKicked
	EventConnectionRequest
	EventTransferComplete
	EventDiagnosticsComplete
	EventRequestDownload
	EventAutonomousTransferComplete
	EventDUStateChangeComplete
	EventAutonomousDUStateChangeComplete
	EventWakeup
	EventHeartbeat
	EventReboot // "M Reboot", and so on
	EventScheduleInform
	EventDownload
	EventScheduleDownload
	EventUpload
	EventChangeDUState
	EventMethod // "M" and any other method, vendors' too
	EventVendor // "X", an OUI and what the vendor calls it
	eventKinds
)

// String is the event code in TR-069's spelling; "M" and "X" for methods and
// vendor events of any name, "unknown" for what is none of all these.
func (k EventKind) String() string {
	switch k {
	case EventBootstrap:
		return "0 BOOTSTRAP"
	case EventBoot:
		return "1 BOOT"
	case EventPeriodic:
		return "2 PERIODIC"
	case EventScheduled:
		return "3 SCHEDULED"
	case EventValueChange:
		return "4 VALUE CHANGE"
	case EventKicked:
		return "5 KICKED"
	case EventConnectionRequest:
		return "6 CONNECTION REQUEST"
	case EventTransferComplete:
		return "7 TRANSFER COMPLETE"
	case EventDiagnosticsComplete:
		return "8 DIAGNOSTICS COMPLETE"
	case EventRequestDownload:
		return "9 REQUEST DOWNLOAD"
	case EventAutonomousTransferComplete:
		return "10 AUTONOMOUS TRANSFER COMPLETE"
	case EventDUStateChangeComplete:
		return "11 DU STATE CHANGE COMPLETE"
	case EventAutonomousDUStateChangeComplete:
		return "12 AUTONOMOUS DU STATE CHANGE COMPLETE"
	case EventWakeup:
		return "13 WAKEUP"
	case EventHeartbeat:
		return "14 HEARTBEAT"
	case EventReboot:
		return "M Reboot"
	case EventScheduleInform:
		return "M ScheduleInform"
	case EventDownload:
		return "M Download"
	case EventScheduleDownload:
		return "M ScheduleDownload"
	case EventUpload:
		return "M Upload"
	case EventChangeDUState:
		return "M ChangeDUState"
	case EventMethod:
		return "M"
	case EventVendor:
		return "X"
	}
	return "unknown"
}

// ParseEvent reads an event code as generously as its senders write it: of a
// numbered code the number decides, its words alone will do without one, and
// neither white space nor case matters.
func ParseEvent(code []byte) EventKind {
	code = trim(code)
	if len(code) == 0 {
		return EventUnknown
	}
	if isDigit(code[0]) {
		n := 0
		for i := 0; i < len(code) && isDigit(code[i]) && n <= int(eventKinds); i++ {
			n = 10*n + int(code[i]-'0')
		}
		if kind := EventBootstrap + EventKind(n); n <= int(EventHeartbeat-EventBootstrap) {
			return kind
		}
		return EventUnknown
	}
	alone := len(code) > 1 && isBlank(code[1])
	switch initial := code[0] | 0x20; {
	case initial == 'm' && alone:
		return eventNamed(code, EventReboot, EventMethod, EventMethod)
	case initial == 'x' && (alone || len(code) > 1 && code[1] == '_'):
		return EventVendor
	}
	return eventNamed(code, EventBootstrap, EventReboot, EventUnknown)
}

// eventNamed finds code among the kinds from first to before last.
func eventNamed(code []byte, first, last, none EventKind) EventKind {
	for k := first; k < last; k++ {
		name := k.String()
		for isDigit(name[0]) || name[0] == ' ' {
			name = name[1:]
		}
		if equalWords(code, name) {
			return k
		}
	}
	return none
}

// equalWords compares without case and without regard to white space.
func equalWords(code []byte, name string) bool {
	i := 0
	for _, c := range code {
		if isBlank(c) {
			continue
		}
		for i < len(name) && name[i] == ' ' {
			i++
		}
		if i == len(name) || c|0x20 != name[i]|0x20 {
			return false
		}
		i++
	}
	return i == len(name)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// EventSet is the kinds of event in an Inform. It is a set because CPEs list
// "M Download" before and after "7 TRANSFER COMPLETE", and events more than once.
type EventSet uint32

// Events reads the Inform's event codes.
func (i *Inform) Events() EventSet {
	var s EventSet
	for _, e := range i.Event {
		s = s.With(ParseEvent(e.EventCode.Bytes))
	}
	return s
}

// With is the set with k in it.
func (s EventSet) With(k EventKind) EventSet { return s | 1<<k }

// Has says whether k is in the set.
func (s EventSet) Has(k EventKind) bool { return s&(1<<k) != 0 }

// Class is the class of the set's most urgent event.
func (s EventSet) Class() EventClass {
	class := ClassRoutine
	for rest := s; rest != 0; rest &= rest - 1 {
		class = min(class, EventKind(bits.TrailingZeros32(uint32(rest))).Class())
	}
	return class
}

// EventClass is how long an Inform can wait; the lesser is the more urgent.
type EventClass uint8

const (
	ClassConnectionRequest EventClass = iota // somebody waits at the ACS
	ClassCompletion                          // something asked for was done, or somebody waits at the CPE
	ClassBootstrap
	ClassBoot
	ClassValueChange
	ClassRoutine // periodic, scheduled, and what nobody knows
)

// String is the class as metrics name it.
func (c EventClass) String() string {
	switch c {
	case ClassConnectionRequest:
		return "connection-request"
	case ClassCompletion:
		return "completion"
	case ClassBootstrap:
		return "bootstrap"
	case ClassBoot:
		return "boot"
	case ClassValueChange:
		return "value-change"
	}
	return "routine"
}

// Class is the class of an Inform with this event alone.
func (k EventKind) Class() EventClass {
	switch k {
	case EventConnectionRequest:
		return ClassConnectionRequest
	case EventBootstrap:
		return ClassBootstrap
	case EventBoot, EventWakeup:
		return ClassBoot
	case EventValueChange:
		return ClassValueChange
	case EventPeriodic, EventScheduled, EventHeartbeat, EventUnknown, EventVendor:
		return ClassRoutine
	}
	return ClassCompletion
}
