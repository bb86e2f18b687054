package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// soap is one message as any ACS or CPE could send it.
func soap(rpc string) string {
	return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:c="urn:dslforum-org:cwmp-1-0"><s:Header><c:ID>1</c:ID></s:Header><s:Body>` + rpc + `</s:Body></s:Envelope>`
}

func informOf(serial string) string {
	return soap(`<c:Inform><DeviceId><Manufacturer>Example</Manufacturer><OUI>00005E</OUI><ProductClass>HG</ProductClass><SerialNumber>` + serial +
		`</SerialNumber></DeviceId><Event><EventStruct><EventCode>2 PERIODIC</EventCode><CommandKey></CommandKey></EventStruct></Event><MaxEnvelopes>1</MaxEnvelopes><CurrentTime>2026-11-24T12:00:00Z</CurrentTime><RetryCount>0</RetryCount><ParameterList></ParameterList></c:Inform>`)
}

var answerToInform = soap(`<c:InformResponse><MaxEnvelopes>1</MaxEnvelopes></c:InformResponse>`)

// plainACS answers Informs and leaves all else to then.
func plainACS(t *testing.T, then http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "<c:Inform>") {
			io.WriteString(w, answerToInform)
			return
		}
		then(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// cpe posts on one connection, or on a new one each time, and keeps the cookie.
type cpe struct {
	t      *testing.T
	url    string
	client *http.Client
	cookie string
}

func newCPE(t *testing.T, r *rig, keepAlive bool) *cpe {
	tr := &http.Transport{DisableKeepAlives: !keepAlive}
	t.Cleanup(tr.CloseIdleConnections)
	return &cpe{t: t, url: r.url(), client: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *cpe) post(body string) (status int, text string) {
	c.t.Helper()
	req, err := http.NewRequest("POST", c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.cookie != "" {
		req.Header.Set("Cookie", c.cookie)
	}
	res, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	for _, k := range res.Cookies() {
		c.cookie = k.Name + "=" + k.Value
	}
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func (c *cpe) want(body string, status int) string {
	c.t.Helper()
	got, text := c.post(body)
	if got != status {
		c.t.Errorf("%d %.60q, want %d", got, text, status)
	}
	return text
}

// A CPE that opens a connection for every POST comes to the end of its session
// while the gateway drains; no session begins then.
func TestDrainServesOpenSessionsOnNewConnections(t *testing.T) {
	acs := plainACS(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	r := start(t, plan{acs: acs, sections: "timeouts: {drain: 20s}\n"})
	open, late := newCPE(t, r, false), newCPE(t, r, false)
	open.want(informOf("OPEN"), 200)
	r.stop()
	await(t, "it drains", func() bool { return strings.Contains(r.log.String(), "draining") })
	late.want(informOf("LATE"), 503)
	if status, _ := get(t, "http://"+r.admin+"/healthz"); status != 200 {
		t.Errorf("/healthz while draining: %d", status)
	}
	if status, _ := get(t, "http://"+r.admin+"/readyz"); status != 503 {
		t.Errorf("/readyz while draining: %d", status)
	}
	open.want("", 204)
	r.close() // well before the drain is over, or the test's own time is
}

// An RPC in an error or a redirect is in no record: it must not reach the CPE.
func TestRPCInAnErrorIsRefused(t *testing.T) {
	for _, status := range []int{302, 401, 404, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			acs := plainACS(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				io.WriteString(w, "<?xml version='1.0'?><!-- -->"+soap(`<c:FactoryReset/>`))
			})
			r := start(t, plan{acs: acs})
			c := newCPE(t, r, true)
			c.want(informOf("ERR"), 200)
			if text := c.want("", 502); strings.Contains(text, "FactoryReset") {
				t.Error("the RPC reached the CPE")
			}
			if got := r.metrics().sum(`cwmpgate_refusals_total{from="acs",reason="message-in-error"}`); got != 1 {
				t.Errorf("%v refusals", got)
			}
		})
	}
}

// One more empty POST is answered 204 only where the CPE was told the end.
func TestEmptyPostBehindTheEnd(t *testing.T) {
	acs := plainACS(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	r := start(t, plan{acs: acs, sections: "timeouts: {session: 300ms, linger: 20s, drain: 1s}\n"})
	done, slow := newCPE(t, r, true), newCPE(t, r, true)
	done.want(informOf("DONE"), 200)
	done.want("", 204)
	done.want("", 204)
	if got := r.metrics()["cwmpgate_extra_empty_posts_total"]; got != 1 {
		t.Errorf("%v extra empty POSTs", got)
	}
	slow.want(informOf("SLOW"), 200)
	await(t, "the session times out", func() bool {
		return r.metrics().sum(`cwmpgate_sessions_ended_total{how="timeout"}`) == 1
	})
	slow.want("", 503)
}

// A CPE that fetches its challenge with an empty POST on a second connection
// supersedes its first session by the Inform that follows.
func TestInformAfterAChallengeSupersedes(t *testing.T) {
	var challenged atomic.Bool
	acs := plainACS(t, func(w http.ResponseWriter, _ *http.Request) {
		challenged.Store(true)
		w.Header().Set("WWW-Authenticate", `Basic realm="acs"`)
		w.WriteHeader(401)
	})
	r := start(t, plan{acs: acs})
	first, second := newCPE(t, r, true), newCPE(t, r, true)
	first.want(informOf("TWICE"), 200)
	second.want("", 401)
	if !challenged.Load() {
		t.Fatal("the empty POST did not reach the ACS")
	}
	second.want(informOf("TWICE"), 200)
	if got := r.metrics().sum(`cwmpgate_sessions_ended_total{how="superseded"}`); got != 1 {
		t.Errorf("%v sessions were superseded", got)
	}
}

// A name of 1 MiB is not kept for as long as a session.
func TestGiantSerialIsNotKept(t *testing.T) {
	acs := plainACS(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	r := start(t, plan{acs: acs})
	c := newCPE(t, r, true)
	c.want(informOf(strings.Repeat("S", 1<<20)), 200)
	c.want("", 204)
	if got := r.metrics()["cwmpgate_body_bytes"]; got != 0 {
		t.Errorf("%v bytes of bodies are still counted", got)
	}
}

// With connections that sessions share one after the other, an RPC in answer to
// an Inform may be a late one, meant for another device.
func TestLateAnswerReachesNobody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, soap(`<c:FactoryReset/>`))
	}))
	t.Cleanup(srv.Close)
	r := start(t, plan{acs: srv.Listener.Addr().String(), reuse: "clean"})
	if text := newCPE(t, r, true).want(informOf("LATE"), 502); strings.Contains(text, "FactoryReset") {
		t.Error("the RPC reached the CPE")
	}
}
