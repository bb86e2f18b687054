package cwmp

import "testing"

// A header block of another namespace is read over, whatever its name.
func TestHeaderBlocksOfOtherNamespaces(t *testing.T) {
	body := []byte(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:c="urn:dslforum-org:cwmp-1-0" xmlns:v="urn:example:v">` +
		`<e:Header><v:ID>7</v:ID><v:HoldRequests>1</v:HoldRequests><c:ID>42</c:ID><v:NoMoreRequests>1</v:NoMoreRequests><v:SessionTimeout>9</v:SessionTimeout></e:Header>` +
		`<e:Body><c:GetRPCMethods/></e:Body></e:Envelope>`)
	m, err := NewDecoder(DefaultLimits()).Decode(body, "")
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Header.ID.Trim()) != "42" || m.Header.Hold() || m.Header.NoMoreRequests.Set || m.Header.SessionTimeout.Set {
		t.Errorf("header %+v", m.Header)
	}
}
