package cwmp

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPatternMatch(t *testing.T) {
	f := func(pattern, name string, exact, fold bool) {
		t.Helper()
		p, err := CompilePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match([]byte(name)); got != exact {
			t.Errorf("%s, %q: %v", pattern, name, got)
		}
		if got := p.MatchFold([]byte(name)); got != fold {
			t.Errorf("%s, %q, folded: %v", pattern, name, got)
		}
	}
	f("Device.DNS.Enable", "Device.DNS.Enable", true, true)
	f("Device.DNS.Enable", "device.dns.ENABLE", false, true)
	f("Device.DNS.Enable", "\n Device.DNS.Enable\t", false, true)
	f("Device.DNS.Enable", "Device.DNS. Enable", false, false)
	f("Device.DNS.Enable", "Device.DNS.Enable.", false, false)
	f("Device.DNS.Enable", "Device.DNS", false, false)
	f("Device.DNS.Enable", "", false, false)

	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.1.Enable", true, true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.[guest].Enable", true, true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.[a.b].Enable", true, true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.[a.Enable", true, true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID..Enable", false, false)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.1.2.Enable", false, false)
	f("Device.WiFi.SSID.*", "Device.WiFi.SSID.", false, false)
	f("Device.WiFi.SSID.", "Device.WiFi.SSID.", true, true)
	f("Device.WiFi.SSID.*.", "Device.WiFi.SSID.3.", true, true)

	f("Device.**", "Device.", true, true)
	f("Device.**", "Device", true, true)
	f("Device.**", "Device.A.B.C", true, true)
	f("Device.**", "Devices.A", false, false)
	f("**", "", true, true)
	f("**", "..", true, true)
	f("**.Password", "Password", true, true)
	f("**.Password", "Device.Users.User.1.Password", true, true)
	f("**.Password", "Device.Password.X", false, false)
	f("Device.**.Key.**.Value", "Device.Key.Value", true, true)
	f("Device.**.Key.**.Value", "Device.1.Key.2.Key.3.Value", true, true)
	f("Device.**.Key.*.Value", "Device.Key.1.Key.2.Value", true, true)
	f("Device.**.Key.*.Value", "Device.Key.Value", false, false)
	f("**.A.B", "A.B.A.A.B", true, true)
	f("**.**.A", "A", true, true)
	f("X.Y.**.Y.Z", "X.Y.Z", false, false)
	f("*.Enable", "[a.b]c.Enable", false, false)
	f("*.*.Enable", "[a.b]c.Enable", true, true)

	f("InternetGatewayDevice.WANDevice.{i}.X", "InternetGatewayDevice.WANDevice.12.X", true, true)
	f("InternetGatewayDevice.WANDevice.{i}.X", "InternetGatewayDevice.WANDevice.[cpe-1].x", false, true)
	f("InternetGatewayDevice.WANDevice.{i}.X", "InternetGatewayDevice.WANDevice.Stats.X", false, false)
	f("InternetGatewayDevice.WANDevice.{i}.X", "InternetGatewayDevice.WANDevice.[].X", false, false)

	f("Device.X_00005E_*.**", "Device.X_00005E_Thing.1.Name", true, true)
	f("Device.X_00005E_*", "Device.x_00005e_", false, true)
	f("**.*Pass*", "A.Passphrase", true, true)
	f("**.*Pass*", "A.WPAPassKey", true, true)
	f("**.*Pass*", "A.PasKey", false, false)
	f("*a*b", "aab", true, true)
	f("*a*b", "aba", false, false)

	f(".ManagementServer.URL", ".ManagementServer.URL", true, true)
	f("*.ManagementServer.URL", ".ManagementServer.URL", false, false)
	f("Device.Größe", "Device.GRÖSSE", false, false)
	f("Device.Größe", "Device.GRÖßE", false, true)
	f("Device.Key", "Device.\u212aey", false, true) // the Kelvin sign folds to k
	f("Device.K*", "Device.\u212aey", false, true)
}

func TestPatternReaches(t *testing.T) {
	f := func(pattern, path string, want bool) {
		t.Helper()
		p, err := CompilePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Reaches([]byte(path)); got != want {
			t.Errorf("%s, %q: %v", pattern, path, got)
		}
		if got := p.ReachesFold([]byte(" " + strings.ToUpper(path))); got != want {
			t.Errorf("%s, %q, folded: %v", pattern, path, got)
		}
	}
	f("Device.WiFi.SSID.*.Enable", "", true)
	f("Device.WiFi.SSID.*.Enable", "Device.", true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.", true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.1.", true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.1.Enable", true)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.1.Enable.", false)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.SSID.1.Enable.X.", false)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi.Radio.", false)
	f("Device.WiFi.SSID.*.Enable", "Device.WiFi", false)
	f("Device.**.Password", "Device.Users.", true)
	f("Device.**.Password", "Other.Users.", false)
	f("Device.DNS.", "Device.DNS.", true)
	f("Device.DNS.", "Device.DNS.Client.", false)
	f("Device.DNS.", "Device.DNS.Enable", false)
}

func TestPatternMistakes(t *testing.T) {
	for text, why := range map[string]string{
		"":                                     "empty",
		" Device.":                             "white space",
		"Device.\xff":                          "UTF-8",
		"Device.a**":                           "alone",
		"Device.***":                           "alone",
		"Device.{j}.X":                         "braces",
		"Device.WANDevice{i}":                  "braces",
		strings.Repeat("a.", 64) + "a":         "segments",
		strings.Repeat("a", 1025):              "bytes",
		strings.Repeat("**.a.", 40):            "segments",
		"Device." + strings.Repeat("a", 1<<20): "bytes",
	} {
		if _, err := CompilePattern(text); err == nil || !strings.Contains(err.Error(), why) || len(err.Error()) > 200 {
			t.Errorf("%.40q: %v, not %q", text, err, why)
		}
	}
	if _, err := CompilePatterns([]string{"Device.", "a**"}); err == nil {
		t.Error("a list with a mistake is accepted")
	}
}

func TestPatternSet(t *testing.T) {
	set, err := CompilePatterns([]string{"**.Password", "Device.Users.**", "Device.Users.User.{i}.Password", "**." + strings.Repeat("Long", 30)})
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, exact, fold int) {
		t.Helper()
		for want, find := range map[int]func([]byte) (int, bool){exact: set.Find, fold: set.FindFold} {
			i, ok := find([]byte(name))
			if ok != (want >= 0) || ok && i != want {
				t.Errorf("%q: %d %v, want %d", name, i, ok, want)
			}
		}
	}
	f("Device.Users.User.1.Password", 0, 0)
	f("Device.Users.User.1.password", 1, 0)
	f("Device.Users.", 1, 1)
	f("Device."+strings.Repeat("Long", 30), 3, 3)
	f("Device."+strings.Repeat("K", 200), -1, -1)
	f("Device", -1, -1)
	f("", -1, -1)
}

func TestPatternAllocs(t *testing.T) {
	set, err := CompilePatterns([]string{"**.Password", "Device.**.*Key*", "Device.WiFi.AccessPoint.{i}.Security.KeyPassphrase"})
	if err != nil {
		t.Fatal(err)
	}
	name := []byte(" Device.WiFi.AccessPoint.[guest].Security.keypassphrase ")
	if n := testing.AllocsPerRun(100, func() {
		set.Find(name)
		set.FindFold(name)
		set.patterns[1].ReachesFold(name)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzPattern compares with a matcher that tries everything.
func FuzzPattern(f *testing.F) {
	f.Add("Device.**.Key.*.Value", "Device.Key.1.Key.2.Value", "**.Value")
	f.Add("**.a*b*.**", "[a.b].aab.", "{i}.**")
	f.Add("{i}.[x.y].*", "1.[x.y].k", "**.K")
	f.Add("**.**.a.**", "a.A.\u212a", "*")
	f.Fuzz(func(t *testing.T, text, name, second string) {
		p, err := CompilePattern(text)
		if err != nil || len(p.segments) > 8 || len(name) > 24 || !utf8.ValidString(name) {
			return
		}
		exact, fold := p.Match([]byte(name)), p.MatchFold([]byte(name))
		trimmed := strings.Trim(name, " \t\r\n")
		if want := naiveMatch(naiveSplit(text), naiveSplit(name), ""); exact != want {
			t.Fatalf("%q, %q: %v, and by trying everything %v", text, name, exact, want)
		}
		if want := naiveMatch(naiveSplit(text), naiveSplit(trimmed), "i"); fold != want {
			t.Fatalf("%q, %q folded: %v, and by trying everything %v", text, name, fold, want)
		}
		if exact && len(name) == len(trimmed) && !fold || exact && !p.Reaches([]byte(name)) {
			t.Fatalf("%q, %q: a match that is none folded, or not reached", text, name)
		}
		for i := range name {
			if parent := name[:i]; exact && (i == 0 || name[i-1] == '.') && !strings.Contains(name, "[") && !p.Reaches([]byte(parent)) {
				t.Fatalf("%q matches %q, which %q does not reach", text, name, parent)
			}
		}
		set, err := CompilePatterns([]string{second, text})
		if err != nil {
			return
		}
		want := -1
		for i := range set.patterns {
			if set.patterns[i].MatchFold([]byte(name)) {
				want = i
				break
			}
		}
		if i, ok := set.FindFold([]byte(name)); ok != (want >= 0) || ok && i != want {
			t.Fatalf("%q, %q: found %d in the set, in the list %d", set.patterns, name, i, want)
		}
	})
}

func naiveSplit(path string) []string {
	if strings.HasPrefix(path, "[") {
		if alias, after, ok := strings.Cut(path, "]"); ok && (after == "" || after[0] == '.') {
			if after == "" {
				return []string{path}
			}
			return append([]string{alias + "]"}, naiveSplit(after[1:])...)
		}
	}
	seg, rest, more := strings.Cut(path, ".")
	if !more {
		return []string{seg}
	}
	return append([]string{seg}, naiveSplit(rest)...)
}

func naiveMatch(pattern, name []string, flags string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		return naiveMatch(pattern[1:], name, flags) || len(name) > 0 && naiveMatch(pattern, name[1:], flags)
	case len(name) == 0:
		return false
	}
	expr := strings.ReplaceAll(regexp.QuoteMeta(pattern[0]), `\*`, `.*`)
	switch pattern[0] {
	case "*":
		expr = `.+`
	case "{i}":
		expr = `[0-9]+|\[.+\]`
	}
	ok, err := regexp.MatchString(fmt.Sprintf(`(?s%s)^(?:%s)$`, flags, expr), name[0])
	if err != nil {
		panic(err)
	}
	return ok && naiveMatch(pattern[1:], name[1:], flags)
}

func BenchmarkPatternSet(b *testing.B) {
	var texts []string
	for i := range 300 {
		texts = append(texts, fmt.Sprintf("Device.Services.VoiceService.{i}.Part%d.{i}.Secret%d", i, i%40))
	}
	set, err := CompilePatterns(texts)
	if err != nil {
		b.Fatal(err)
	}
	name := []byte("Device.Services.VoiceService.1.Part299.[line].Secret19")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := set.FindFold(name); !ok {
			b.Fatal("not found")
		}
	}
}
