package audit

import (
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	r := testRedactor(t, "Device.X_00005E_Custom.*.Inner", "Device.X_00005E_All.")
	cases := []struct {
		name string
		want class
	}{
		// Of the Forum's list, under every root.
		{"Device.ManagementServer.Password", secret},
		{"InternetGatewayDevice.ManagementServer.Password", secret},
		{"ManagementServer.STUNPassword", secret},
		{".ManagementServer.Password", secret},
		{"InternetGatewayDevice.LANDevice.1.WLANConfiguration.2.PreSharedKey.3.PreSharedKey", secret},
		{"Device.Services.VoiceService.1.VoiceProfile.1.Line.1.SIP.AuthPassword", secret},
		{"InternetGatewayDevice.Services.VoiceService.[main].SIP.Network.1.InboundAuthPassword", secret},
		{"InternetGatewayDevice.Services.StorageService.1.UserAccount.1.Password", secret},
		{"Device.Routing.Babel.MACKeySet.1.MACKey.2.KeyValue", secret},
		{"Device.USPAgent.ControllerTrust.Challenge.1.Value", secret},
		{"Device.WiFi.AccessPoint.1.WPS.PIN", pin},
		{"Device.Services.VoiceService.1.DECT.Base.1.PIN", pin},
		{"InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.WPS.DevicePassword", pin},
		// Odd spellings.
		{"\n\t Device.WiFi.AccessPoint.1.Security.KeyPassphrase ", secret},
		{"device.wifi.accesspoint.1.security.keypassphrase", secret},
		{"DEVICE.WIFI.ACCESSPOINT.10.SECURITY.WEPKEY", secret},
		{"Device.WiFi.AccessPoint.[a.b].Security.RadiusSecret", secret},
		{"Device.WiFi.AccessPoint.[x]y.Security.SAEPassphrase", secret},
		{"Device . ManagementServer . Password", secret},
		{"Device.USPAgent.ControllerTru\u017ft.Challenge.1.Value", secret},
		{"Device.IEEE1905.AL.Security.Pa\u017f\u017fword", secret},
		// A whole configuration.
		{"Device.DeviceConfig.ConfigFile", secret},
		{"InternetGatewayDevice.DeviceConfig.ConfigFile", secret},
		{"deviceconfig.configfile", secret},
		// Commands and what only sounds alike.
		{"Device.PeriodicStatistics.SampleSet.1.ForceSample", plain},
		{"Device.SmartCardReader.1.Reset", plain},
		{"Device.Users.User.1.X_00005E_PasswordReset", plain},
		{"Device.X_00005E.PasswordEnable", plain},
		{"Device.X_00005E.KeyPassphraseLength", plain},
		{"Device.ManagementServer.ParameterKey", plain},
		{"Device.WiFi.AccessPoint.1.Security.WEPKeyIndex", plain},
		{"Device.X_00005E.PublicKey", plain},
		{"Device.X_00005E.NumberOfKeys", plain},
		{"Device.X_00005E.Bypass", plain},
		{"Device.X_00005E.Radio.TxPowerW", plain},
		{"Device.X_00005E.Radio.StepW", plain},
		{"Device.X_00005E.Radio.SETPW", plain},
		{"Device.X_00005E.Radio.stepw", plain},
		{"Device.X_00005E.RPW", plain},
		{"Device.X_00005E.AdminPWReset", plain},
		{"Device.X_00005E.AdminPWLength", plain},
		{"Device.X_00005E.KeyIndex", plain},
		{"Device.X_00005E.KeyEncryption", plain},
		{"Device.X_00005E.KeyEncMode", plain},
		{"Device.X_00005E.Enc", plain},
		{"Device.X_00005E.WebPwr", plain},
		{"Device.ManagementServer.Username", plain},
		{"Device.DHCPv4.Client.1.SentOption.1.Value", plain},
		{"Device.DeviceInfo.SoftwareVersion", plain},
		{"Device.WiFi.SSID.1.SSID", plain},
		{"", plain},
		{"...", plain},
		// Vendors' own.
		{"Device.X_00005E_Web.AdminPassword", guessed},
		{"Device.X_00005E_Web.User.1.Pwd", guessed},
		{"Device.X_00005E.WPAPSKKey1", guessed},
		{"Device.X_00005E.PrivateKeyPEM", guessed},
		{"Device.X_00005E.PasswordHashSHA256", guessed},
		{"Device.X_00005E.AccessToken", guessed},
		{"Device.X_00005E.Credentials", guessed},
		{"Device.X_00005E.SNMP.ROCommunity", guessed},
		{"Device.X_00005E.WEPKey.1.Value", guessed},
		{"Device.X_00005E_ConfigFile", guessed},
		{"Device.X_00005E.DeviceConfig.X_00005E_CONFIG_FILE", guessed},
		{"InternetGatewayDevice.X_00005E.BackupConfigurationFile.Content", guessed},
		{"Device.DeviceInfo.VendorConfigFile.1.Name", plain},
		{"Device.DeviceInfo.VendorConfigFileNumberOfEntries", plain},
		{"Device.X_00005E.ConfigFileName", plain},
		{"Device.X_00005E_Web.AdminPW", guessed},
		{"Device.X_00005E_Web.AdminPw", guessed},
		{"Device.X_00005E_Web.adminpw", guessed},
		{"Device.X_00005E_Web.ADMINPW", guessed},
		{"Device.X_00005E_Web.Admin_PW2", guessed},
		{"Device.X_00005E_Web.AdminPWHash", guessed},
		{"Device.X_00005E_Web.User.1.PW", guessed},
		{"Device.X_00005E_Web.User.1.X_00005E_pw ", guessed},
		{"Device.X_00005E.WLAN.1.KeyEnc", guessed},
		{"Device.X_00005E.WLAN.1.WPAPSKEnc", guessed},
		{"Device.X_00005E.PasswordEnc1", guessed},
		{"Device.X_00005E.SIM.PINCode", guessedPIN},
		{"Device.X_00005E.SIM.PUK2", guessedPIN},
		// Configured.
		{"Device.X_00005E_Custom.4.Inner", secret},
		{"device.x_00005e_custom.4.INNER ", secret},
		{"Device.X_00005E_All.A.B", secret},
		// URLs.
		{"Device.ManagementServer.ConnectionRequestURL", ownURL},
		{"InternetGatewayDevice.ManagementServer.ConnectionRequestURL ", ownURL},
		{"Device.X_00005E.X_00005E_ConnectionRequestURL", ownURL},
		{"Device.ManagementServer.X_00005E_UDPConnectionRequestURL", ownURL},
		{"Device.ManagementServer.X_00005E_ConnReqURL2", ownURL},
		{"Device.ManagementServer.X_00005E_ConnectionRequestURLEnable", plain},
		{"Device.ManagementServer.X_00005E_ConnectionRequestURLPort", plain},
		{"Device.ManagementServer.X_00005E_BackupURL", anyURL},
		{"Device.ManagementServer.URL", anyURL},
	}
	for _, c := range cases {
		got := r.classify([]byte(c.name), new(nameScratch))
		if got != c.want {
			t.Errorf("%q is %d, want %d", c.name, got, c.want)
		}
	}
}

// TestWholeListIsSecret: every row of the list is redacted by the name it has
// there, with a number or an alias for its instances, under every root.
func TestWholeListIsSecret(t *testing.T) {
	r := newKeyless()
	rows := 0
	for line := range strings.Lines(secretList) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		rows++
		path, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		names := []string{path}
		if below, ok := strings.CutPrefix(path, "Device."); ok {
			names = append(names, "InternetGatewayDevice."+below)
		}
		if strings.HasPrefix(path, "VoiceService.") || strings.HasPrefix(path, "StorageService.") {
			names = append(names, "Device.Services."+path, "InternetGatewayDevice.Services."+path)
		}
		for _, name := range names {
			for _, instance := range []string{"1", "4294967295", "[cpe-1]", "[a.b]"} {
				name := strings.ReplaceAll(name, "{i}", instance)
				if c := r.classify([]byte(name), new(nameScratch)); c != secret && c != pin {
					t.Errorf("%s is not secret", name)
				}
			}
		}
	}
	if rows < 60 {
		t.Errorf("the list has %d rows", rows)
	}
}

func TestMaskedURLs(t *testing.T) {
	cases := []struct {
		text  string
		whole bool
		want  string
	}{
		{"http://acs.example.net/cwmp", true, "http://acs.example.net/cwmp"},
		{"http://acs.example.net:7547", true, "http://acs.example.net:7547"},
		{"https://u:p@acs.example.net/cwmp?a=1&b=&c", true, "https://acs.example.net/cwmp?a=***&b=&***"},
		{"https://u@acs.example.net?x=1;y=2#frag", true, "https://acs.example.net?x=***;y=***#***"},
		{"http://[2001:db8::1]:80/x", true, "http://[2001:db8::1]:80/x"},
		{"http://u:p@[2001:db8::1]/x", true, "http://[2001:db8::1]/x"},
		{"http://u:p/w@acs.example.net/x", true, "http://acs.example.net/x"},
		{"http://u:p@w@acs.example.net/x", true, "http://acs.example.net/x"},
		{"http://acs.example.net/@v2/file", true, "http://acs.example.net/@v2/file"},
		{"http://u:p?w@acs.example.net/x", true, "http://u:p?***"},
		{"u:p@files.example.net/x?k=v", true, "files.example.net/x?k=***"},
		{"//u:p@files.example.net/x", true, "//files.example.net/x"},
		{" http://u:p@files.example.net/x ", true, " http://files.example.net/x "},
		{"http://proxy.example.net/http://u:p@files.example.net/x", true, "http://files.example.net/x"},
		{"http://u:/p@files.example.net/x", true, "http://files.example.net/x"},
		{":// ftp://u:p@files.example.net/x", true, "://files.example.net/x"},
		{"http://x.example.net/#http://u:p@y.example.net/?k=v", true, "http://x.example.net/#***"},
		{"http://x.example.net/?http://u:p@y.example.net/=v&a=b", true, "http://x.example.net/?***&a=***"},
		{"/fw/@b?sig=1", true, "/fw/@b?sig=***"},
		{"?sig", true, "?***"},
		{"", true, ""},
		{"a@b", false, "a@b"},
		{"no URL in here? a=b", false, "no URL in here? a=b"},
		{"see <http://u:p@x.example.net/?k=v> and \"ftp://a:b@y.example.net\"", false, "see <http://x.example.net/?k=***> and \"ftp://y.example.net\""},
		{"http://a:b@x.example.net/,http://c:d@y.example.net/", false, "http://x.example.net/,http://y.example.net/"},
		{"http://x.example.net/r?to=http://u:p@y.example.net/", true, "http://x.example.net/r?to=***"},
		{"http://x.example.net/?a=1?b=2", true, "http://x.example.net/?a=***"},
		// Parameters of a path.
		{"http://x.example.net/acs;jsess=1f3a", true, "http://x.example.net/acs;jsess=***"},
		{"http://u:p@x.example.net/a;jsessionid=1f3a/b;v=2;w/c?d=e", true, "http://x.example.net/a;jsessionid=***/b;v=***;w/c?d=***"},
		{"see http://x.example.net/acs;jsessionid=1f3a, please", false, "see http://x.example.net/acs;jsessionid=*** please"},
		{"x.example.net/acs;jsessionid=1f3a", true, "x.example.net/acs;jsessionid=***"},
		{"/acs;jsessionid=1f3a?a=b", true, "/acs;jsessionid=***?a=***"},
		{"/fw/@b;jsess=1f3a/c", true, "/fw/@b;jsess=***/c"},
		{"u:p@x.example.net/acs;jsess=1f3a", false, "***@x.example.net/acs;jsess=***"},
		{"http://x.example.net/fw;1/b;c=;d", true, "http://x.example.net/fw;1/b;c=;d"},
		{"a; b=c", false, "a; b=c"},
		// A slash in a password that begins like a port.
		{"http://user:123/w@host", true, "http://host"},
		{"http://john.doe:123/w@files.example.net/fw", true, "http://files.example.net/fw"},
		{"http://files:123/w@192.0.2.1/fw", false, "http://192.0.2.1/fw"},
		{"http://files.example.net:8080/fw/model@2.1.bin", true, "http://files.example.net:8080/fw/model@2.1.bin"},
		{"http://files.example.net:8080/fw@2.1/b.bin", true, "http://files.example.net:8080/fw@2.1/b.bin"},
		{"http://[2001:db8::1]:8080/fw@2.1/b.bin", true, "http://[2001:db8::1]:8080/fw@2.1/b.bin"},
		{"http://localhost:8080/fw@b", true, "http://localhost:8080/fw@b"},
		// No scheme.
		{"//u:s3cret@files.example.net/p?k=v", false, "//files.example.net/p?k=***"},
		{"to (//token@files.example.net/p)", false, "to (//files.example.net/p)"},
		{"u:s3cret@files.example.net:21/p", false, "***@files.example.net:21/p"},
		{"from u:p@ss:w/rd@192.0.2.1:21/p?k=v to", false, "from ***@192.0.2.1:21/p?k=*** to"},
		{"u:123/w@host", false, "***@host"},
		{"http://x.example.net/ and u:p@y.example.net", false, "http://x.example.net/ and ***@y.example.net"},
		{"{\"ftp\":\"u:p@h\"}", false, "{\"ftp\":\"***@h\"}"},
		{"sip:1001:p@registrar.example.net", false, "sip:***@registrar.example.net"},
		// What is none.
		{"ask admin@example.com, or mailto:b@example.com", false, "ask admin@example.com, or mailto:b@example.com"},
		{"Email:admin@example.com", false, "Email:admin@example.com"},
		{"\"B\" <sip:1001@192.0.2.1:5060>", false, "\"B\" <sip:1001@192.0.2.1:5060>"},
		{"user@isp.example.net", false, "user@isp.example.net"},
		{"00:00:5e:00:53:01 at 12:30 @ home", false, "00:00:5e:00:53:01 at 12:30 @ home"},
		{"files.example.net/fw@2", false, "files.example.net/fw@2"},
		{"@", false, "@"},
		{":@", false, ":@"},
	}
	for _, c := range cases {
		if got := string(appendMasked(nil, []byte(c.text), c.whole, nil)); got != c.want {
			t.Errorf("%q became %q, want %q", c.text, got, c.want)
		}
	}
}

func TestMaskedWords(t *testing.T) {
	cases := []struct{ text, want string }{
		{"login with password=hunter2 failed", "login with password=*** failed"},
		{"PASSWD : hunter2, code 530", "PASSWD : *** code 530"},
		{"pwd='hunter 2' x", "pwd='***' x"},
		{"wrong password \"hunter 2\"", "wrong password \"***\""},
		{"{\"user\":\"fleet\",\"password\": \"hunter2\",\"n\":1}", "{\"user\":\"***\",\"password\": \"***\",\"n\":1}"},
		{"<Password>hunter2</Password>", "<Password>***</Password>"},
		{"wget --http-password hunter2 --http-user=fleet x", "wget --http-password *** --http-user=*** x"},
		{"wifi_psk=a&b;c api-key:d", "wifi_psk=*** api-key:***"},
		{"Device.ManagementServer.Password=hunter2", "Device.ManagementServer.Password=***"},
		{"password => hunter2", "password => ***"},
		{"pw=hunter2 AdminPW: hunter2 TxStepW=3", "pw=*** AdminPW: *** TxStepW=3"},
		{"pwd=\"unclosed hunter2", "pwd=\"***"},
		{"a key=*** b", "a key=*** b"},
		{"login: refused", "login: refused"},
		{"bad username or password", "bad username or password"},
		{"password", "password"},
		{"password=", "password="},
		{"CommandKey=fw-17, ParameterKey: 3", "CommandKey=fw-17, ParameterKey: 3"},
		{"host=192.0.2.1 error: 530", "host=192.0.2.1 error: 530"},
		{strings.Repeat("x", 70) + "password=y", strings.Repeat("x", 70) + "password=y"},
		{"", ""},
	}
	for _, c := range cases {
		if got := string(maskWords([]byte(c.text))); got != c.want {
			t.Errorf("%q became %q, want %q", c.text, got, c.want)
		}
	}
}

func TestOwnURL(t *testing.T) {
	cases := []struct{ text, want string }{
		{"http://192.0.2.7:7547/8f3a", "http://192.0.2.7:7547/***"},
		{" http://192.0.2.7:7547/8f3a/b?c\n", "http://192.0.2.7:7547/***"},
		{"http://u:p@192.0.2.7:7547/8f3a", "http://192.0.2.7:7547/***"},
		{"http://192.0.2.7:7547/", "http://192.0.2.7:7547/"},
		{"http://192.0.2.7:7547", "http://192.0.2.7:7547"},
		{"http://192.0.2.7:7547?8f3a", "http://192.0.2.7:7547/***"},
		{"http://192.0.2.7:7547\\8f3a", "http://192.0.2.7:7547/***"},
		{"http://:0/3c5a9f", "http://:0/***"},
		{"http://[2001:db8::1]:7547/x", "http://[2001:db8::1]:7547/***"},
		{"192.0.2.7:7547/8f3a", ""},
		{"http://192.0.2.7:8f3a", ""},
		{"8f3a", ""},
	}
	for _, c := range cases {
		got, ok := appendOwnURL(nil, []byte(c.text), nil)
		if ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%q became %q (%v), want %q", c.text, got, ok, c.want)
		}
	}
}

func TestMemoryMasks(t *testing.T) {
	m := new(memory)
	for _, s := range []string{"abcdef", "abcd", "x1", " hunter2\n", ""} {
		m.add([]byte(s))
	}
	cases := []struct{ text, want string }{
		{"nothing", "nothing"},
		{"abcdef and abcd", "*** and ***"},
		{"xabcdefx", "x***x"},
		{"x1 x1x (x1) ax1", "*** x1x (***) ax1"},
		{"hunter2hunter2", "******"},
		{"", ""},
	}
	for _, c := range cases {
		if got := string(m.mask([]byte(c.text))); got != c.want {
			t.Errorf("%q became %q, want %q", c.text, got, c.want)
		}
	}
	m.add([]byte(strings.Repeat("k", memoryLimit)))
	if got := string(m.mask([]byte("anything"))); got != masked {
		t.Errorf("a full memory lets %q through", got)
	}
	m.reset()
	if got := string(m.mask([]byte("abcd"))); got != "abcd" {
		t.Errorf("an empty memory masks: %q", got)
	}
}

func TestPatterns(t *testing.T) {
	cases := []struct {
		pattern, name string
		want          bool
	}{
		{"Device.WiFi.*.X", " device.wifi.1.x", true},
		{"Device.WiFi.", "Device.WiFi.SSID.1.SSID", true},
		{"**.SSID", "Device.WiFi.SSID.1.SSID", true},
		{"Device.*", "Device.WiFi.X", false},
	}
	for _, c := range cases {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(c.name); got != c.want {
			t.Errorf("%s matches %q: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
	if _, err := ParsePattern(" "); err == nil {
		t.Error("an empty pattern was taken")
	}
}

func TestMatchDevice(t *testing.T) {
	for asked, want := range map[string]bool{
		"": true, "S-1": true, "00005e-S-1": true, "00005E-HG-8-S-1": true,
		"1": false, "00005E": false, "00005E-HG-S-1": false, "-S-1": false,
	} {
		if got := MatchDevice(asked, "00005E", "HG-8", "S-1"); got != want {
			t.Errorf("%q: %v, want %v", asked, got, want)
		}
	}
}
