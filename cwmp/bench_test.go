package cwmp

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"testing"
)

// BenchmarkDecode reads whole messages, every name and value included: the
// checksum over them is part of what is measured, so that nothing is put off.
func BenchmarkDecode(b *testing.B) {
	bodies := []struct {
		name string
		body []byte
	}{
		{"inform", benchInform()},
		{"gpv-1.8MB", benchValues(1_800_000)},
	}
	for _, bb := range bodies {
		want, err := xmlChecksum(bb.body)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(bb.name+"/cwmp", func(b *testing.B) {
			d := NewDecoder(DefaultLimits())
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				m, err := d.Decode(bb.body, "")
				if err != nil {
					b.Fatal(err)
				}
				if got := checksum(m); got != want {
					b.Fatalf("checksum %x, encoding/xml has %x", got, want)
				}
			}
		})
		b.Run(bb.name+"/encoding-xml", func(b *testing.B) {
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				if got, err := xmlChecksum(bb.body); err != nil || got != want {
					b.Fatalf("checksum %x, %v", got, err)
				}
			}
		})
	}
}

// sum reads every byte of its input, eight at a time, so that it costs little
// beside the decoding.
type sum uint64

func (s *sum) add(b []byte) {
	h := uint64(*s) + uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^binary.LittleEndian.Uint64(b), 23) * 0x9E3779B97F4A7C15
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c), 23) * 0x9E3779B97F4A7C15
	}
	*s = sum(h)
}

// checksum is over the names and values of a list, and all of an Inform.
func checksum(m *Message) uint64 {
	var s sum
	s.add(m.Header.ID.Bytes)
	var list []ParameterValue
	switch rpc := m.RPC.(type) {
	case *Inform:
		id := &rpc.DeviceID
		for _, t := range [...]*Text{&id.Manufacturer, &id.OUI, &id.ProductClass, &id.SerialNumber} {
			s.add(t.Bytes)
		}
		for i := range rpc.Event {
			s.add(rpc.Event[i].EventCode.Bytes)
			s.add(rpc.Event[i].CommandKey.Bytes)
		}
		for _, t := range [...]*Text{&rpc.MaxEnvelopes, &rpc.CurrentTime, &rpc.RetryCount} {
			s.add(t.Bytes)
		}
		list = rpc.ParameterList
	case *GetParameterValuesResponse:
		list = rpc.ParameterList
	}
	for i := range list {
		s.add(list[i].Name.Bytes)
		s.add(list[i].Value.Bytes)
	}
	return uint64(s)
}

// xmlChecksum is the same with the standard library's tokens. In these bodies
// the elements that hold text are all that count, in order.
func xmlChecksum(body []byte) (uint64, error) {
	var s sum
	d := xml.NewDecoder(bytes.NewReader(body))
	var text []byte
	leaf := false
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return uint64(s), nil
		}
		if err != nil {
			return 0, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			text, leaf = text[:0], true
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			if leaf {
				s.add(text)
			}
			leaf = false
		}
	}
}

const benchEnvelope = `<?xml version="1.0" encoding="UTF-8"?>
<soap-env:Envelope xmlns:soap-enc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cwmp="urn:dslforum-org:cwmp-1-0"><soap-env:Header><cwmp:ID soap-env:mustUnderstand="1">bench-1</cwmp:ID></soap-env:Header><soap-env:Body>%s</soap-env:Body></soap-env:Envelope>`

// benchParameter is the i-th of a device's parameters; one value in fifty has an
// entity in it.
func benchParameter(i int) string {
	const item = `<ParameterValueStruct><Name>InternetGatewayDevice.%s</Name><Value xsi:type="xsd:%s">%s</Value></ParameterValueStruct>`
	path := func(leaf string) string {
		return fmt.Sprintf("LANDevice.%d.WLANConfiguration.%d.AssociatedDevice.%d.%s", 1+i%3, 1+i%8, 1+i/10, leaf)
	}
	switch i % 10 {
	case 0:
		return fmt.Sprintf(item, path("AssociatedDeviceMACAddress"), "string", fmt.Sprintf("00:00:5E:00:53:%02X", i%256))
	case 1:
		return fmt.Sprintf(item, path("AssociatedDeviceIPAddress"), "string", fmt.Sprintf("192.0.2.%d", i%256))
	case 2:
		return fmt.Sprintf(item, path("AssociatedDeviceAuthenticationState"), "boolean", "1")
	case 3:
		return fmt.Sprintf(item, path("LastDataTransmitRate"), "string", "54")
	case 4:
		return fmt.Sprintf(item, path("X_00005E_SignalStrength"), "int", "-61")
	case 5:
		return fmt.Sprintf(item, path("X_00005E_ConnectedSince"), "dateTime", "2026-11-24T21:00:00Z")
	case 6:
		return fmt.Sprintf(item, path("X_00005E_BytesSent"), "unsignedInt", fmt.Sprint(i*1009))
	case 7:
		if i%50 == 7 {
			return fmt.Sprintf(item, path("X_00005E_HostName"), "string", "den &amp; kitchen")
		}
		return fmt.Sprintf(item, path("X_00005E_HostName"), "string", "tablet-living-room.example.net")
	case 8:
		return fmt.Sprintf(item, path("X_00005E_Alias"), "string", "")
	}
	return fmt.Sprintf(item, path("X_00005E_VendorClass"), "string", "Example mobile terminal, release 7")
}

func benchParameters(size int) string {
	var b strings.Builder
	n := 0
	for ; b.Len() < size; n++ {
		b.WriteString(benchParameter(n))
	}
	return fmt.Sprintf(`<ParameterList soap-enc:arrayType="cwmp:ParameterValueStruct[%d]">%s</ParameterList>`, n, b.String())
}

func benchInform() []byte {
	return fmt.Appendf(nil, benchEnvelope, `<cwmp:Inform><DeviceId><Manufacturer>Example Networks</Manufacturer><OUI>00005E</OUI><ProductClass>HomeGate 3</ProductClass><SerialNumber>BENCH00001</SerialNumber></DeviceId><Event soap-enc:arrayType="cwmp:EventStruct[2]"><EventStruct><EventCode>1 BOOT</EventCode><CommandKey></CommandKey></EventStruct><EventStruct><EventCode>M Reboot</EventCode><CommandKey>job-17</CommandKey></EventStruct></Event><MaxEnvelopes>1</MaxEnvelopes><CurrentTime>2026-11-24T21:00:00Z</CurrentTime><RetryCount>0</RetryCount>`+
		benchParameters(2900)+`</cwmp:Inform>`)
}

func benchValues(size int) []byte {
	return fmt.Appendf(nil, benchEnvelope, `<cwmp:GetParameterValuesResponse>`+benchParameters(size-800)+`</cwmp:GetParameterValuesResponse>`)
}
