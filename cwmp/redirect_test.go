package cwmp

import "testing"

// A redirect within a session has the CPE send its message again, elsewhere;
// before an Inform was accepted it ends the session.
func TestRedirects(t *testing.T) {
	inform := &Message{Kind: KindRequest, Method: MethodInform, Name: "Inform", RPC: &Inform{}}
	answer := &Message{Kind: KindResponse, Method: MethodInform, Name: "InformResponse", RPC: &InformResponse{}}
	done := &Message{Kind: KindRequest, Method: MethodTransferComplete, Name: "TransferComplete", RPC: &TransferComplete{}}
	confirmed := &Message{Kind: KindResponse, Method: MethodTransferComplete, Name: "TransferCompleteResponse", RPC: &TransferCompleteResponse{}}

	s := NewSession()
	step := func(status int, m, a *Message) (Turn, Turn) {
		t.Helper()
		cpe, err := s.FromCPE(m)
		if err != nil {
			t.Fatal(err)
		}
		acs, err := s.FromACS(status, a)
		if err != nil {
			t.Fatal(err)
		}
		return cpe, acs
	}
	step(200, inform, answer)
	if _, acs := step(307, done, nil); acs.Ends || s.Ended() {
		t.Fatal("a redirect in mid-session ends it")
	}
	if _, acs := step(200, done, confirmed); acs.Answers == nil || acs.Answers.Method != MethodTransferComplete {
		t.Errorf("what was sent again is not answered: %+v", acs)
	}
	if open := s.Open(); len(open) != 0 {
		t.Errorf("%d requests are open", len(open))
	}

	s = NewSession()
	if _, acs := step(302, inform, nil); !acs.Ends {
		t.Error("a redirected Inform leaves its session open")
	}
}
