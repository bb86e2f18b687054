package cwmp

import "testing"

func TestParseEvent(t *testing.T) {
	f := func(code string, want EventKind) {
		t.Helper()
		if got := ParseEvent([]byte(code)); got != want {
			t.Errorf("%q is %v, want %v", code, got, want)
		}
	}
	for k := EventBootstrap; k < EventMethod; k++ {
		f(k.String(), k)
		f(" \n\t"+k.String()+"\r\n", k)
	}
	f("0 BOOTSTRAP", EventBootstrap)
	f("14 HEARTBEAT", EventHeartbeat)
	f("6", EventConnectionRequest)
	f("6CONNECTION REQUEST", EventConnectionRequest)
	f("6  connection   request", EventConnectionRequest)
	f("8 DIAGNOSTIC COMPLETE", EventDiagnosticsComplete)
	f("1 BOOTSTRAP", EventBoot)
	f("connection request", EventConnectionRequest)
	f("VALUECHANGE", EventValueChange)
	f("Boot", EventBoot)
	f("15 SOMETHING", EventUnknown)
	f("99999999999999999999999999999999999999 X", EventUnknown)
	f("-1 BOOT", EventUnknown)
	f("", EventUnknown)
	f("  ", EventUnknown)
	f("BOOTED", EventUnknown)
	f("M", EventUnknown)
	f("M ", EventUnknown)
	f("m reboot", EventReboot)
	f("M  schedule inform", EventScheduleInform)
	f("M SetParameterValues", EventMethod)
	f("M X_00005E_Do", EventMethod)
	f("MReboot", EventUnknown)
	f("X 00005E LinkDown", EventVendor)
	f("X_00005E_LinkDown", EventVendor)
	f("XYZ", EventUnknown)
	f("X", EventUnknown)
}

func TestEventSet(t *testing.T) {
	f := func(want EventClass, codes ...string) {
		t.Helper()
		var i Inform
		for _, c := range codes {
			i.Event = append(i.Event, Event{EventCode: T(c)})
		}
		s := i.Events()
		for _, c := range codes {
			if k := ParseEvent([]byte(c)); !s.Has(k) {
				t.Errorf("%q: %v is not in the set", codes, k)
			}
		}
		if s.Has(EventKicked) {
			t.Errorf("%q: kicked", codes)
		}
		if got := s.Class(); got != want {
			t.Errorf("%q: %v, want %v", codes, got, want)
		}
	}
	f(ClassRoutine)
	f(ClassRoutine, "2 PERIODIC")
	f(ClassRoutine, "X 00005E Any", "nonsense", "14 HEARTBEAT")
	f(ClassValueChange, "4 VALUE CHANGE", "2 PERIODIC")
	f(ClassBoot, "13 WAKEUP")
	f(ClassBootstrap, "0 BOOTSTRAP", "1 BOOT", "4 VALUE CHANGE")
	f(ClassCompletion, "M Download", "7 TRANSFER COMPLETE", "1 BOOT")
	f(ClassCompletion, "7 TRANSFER COMPLETE", "M Download", "1 BOOT")
	f(ClassCompletion, "M X_00005E_Do")
	f(ClassConnectionRequest, "1 BOOT", "6 CONNECTION REQUEST", "6 CONNECTION REQUEST")
	for c := ClassConnectionRequest; c < ClassRoutine; c++ {
		if c.String() == ClassRoutine.String() {
			t.Errorf("class %d has no name", c)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ParseEvent([]byte(" 12 autonomous DU state change complete")) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseEvent(f *testing.F) {
	for k := EventUnknown; k < eventKinds; k++ {
		f.Add([]byte(k.String()))
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		k := ParseEvent(code)
		if k >= eventKinds {
			t.Fatalf("%q is of kind %d", code, k)
		}
		if padded := append([]byte("\n "), append(code, ' ')...); ParseEvent(padded) != k {
			t.Fatalf("%q is %v, and with blanks round it %v", code, k, ParseEvent(padded))
		}
	})
}
