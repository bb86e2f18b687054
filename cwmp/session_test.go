package cwmp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sessionTranscripts are sessions line by line. A line is a party, the ACS's HTTP
// status, an element name ("-": no message), "#" and a cwmp:ID, and header
// elements; behind the bar stands what the session must say of it. A line's
// number is the number of its record.
var sessionTranscripts = []struct{ name, lines string }{
	{"ordinary", `
		1 cpe Inform #a                     | owes acs
		2 acs 200 InformResponse #a         | answers 1, accepted
		3 cpe -                             | owes acs
		4 acs 200 GetParameterValues #b     | owes cpe
		5 cpe GetParameterValuesResponse #b | answers 4
		6 acs 200 SetParameterValues #c     | owes cpe
		7 cpe SetParameterValuesResponse #c | answers 6
		8 acs 204 -                         | ends`},
	{"CPE asks before its empty message", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a           | answers 1
		3 cpe TransferComplete #b
		4 acs 200 TransferCompleteResponse #b | answers 3
		5 cpe -
		6 acs 204 -                           | ends`},
	{"200 without a body ends like 204", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a | answers 1
		3 cpe -
		4 acs 200 -                 | ends
		5 cpe -                     | error ended
		6 acs 204 -                 | error ended`},
	{"wrong, missing and padded IDs answer by place", `
		1 cpe Inform #a
		2 acs 200 InformResponse #z         | answers 1, wrong id
		3 cpe -
		4 acs 200 GetParameterValues #b
		5 cpe GetParameterValuesResponse    | answers 4, wrong id
		6 acs 200 GetParameterValues
		7 cpe GetParameterValuesResponse    | answers 6
		8 acs 200 GetParameterValues #__c__
		9 cpe GetParameterValuesResponse #c | answers 8`},
	{"fault of the CPE", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a | answers 1
		3 cpe -
		4 acs 200 Reboot #b
		5 cpe Fault #x              | answers 4, wrong id
		6 acs 204 -                 | ends`},
	{"fault of the ACS with 500 is an answer", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a | answers 1
		3 cpe TransferComplete #b
		4 acs 500 Fault #b          | answers 3
		5 cpe -
		6 acs 204 -                 | ends`},
	{"500 without a fault ends", `
		1 cpe Inform #a
		2 acs 500 - | ends, open 1`},
	{"503 ends, even with a fault", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a | answers 1
		3 cpe -
		4 acs 200 Reboot #b
		5 cpe RebootResponse #b     | answers 4
		6 acs 503 Fault             | orphan, ends`},
	{"redirect ends", `
		1 cpe Inform #a
		2 acs 302 - | ends, open 1`},
	{"challenge before the session", `
		1 cpe Inform #a
		2 acs 401 -                 | owes none, open
		3 cpe Inform #a             | owes acs
		4 acs 401 -                 | owes none
		5 cpe Inform #a2
		6 acs 200 InformResponse #a2 | answers 5, accepted`},
	{"challenge fetched with an empty message", `
		1 cpe -
		2 acs 401 -
		3 cpe Inform #a
		4 acs 200 InformResponse #a | answers 3, accepted
		5 cpe -
		6 acs 204 -                 | ends`},
	{"empty message of no session", `
		1 cpe -
		2 acs 204 - | ends`},
	{"challenge to an answer: sent again, it answers the same", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a         | answers 1
		3 cpe -
		4 acs 200 GetParameterValues #b
		5 cpe GetParameterValuesResponse #q | answers 4, wrong id, owes acs
		6 acs 401 -                         | owes cpe, open 4
		7 cpe GetParameterValuesResponse #q | answers 4, wrong id
		8 acs 204 -                         | ends`},
	{"challenge to the empty message takes it back", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a           | answers 1
		3 cpe -
		4 acs 401 -
		5 cpe TransferComplete #b
		6 acs 200 -                           | open 5
		7 cpe -
		8 acs 204 -                           | ends, open 5`},
	{"challenge to a request takes it back", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a           | answers 1
		3 cpe TransferComplete #b
		4 acs 401 -                           | open
		5 cpe TransferComplete #b
		6 acs 200 TransferCompleteResponse #b | answers 5`},
	{"TransferComplete answered with an empty 200 stays open", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a   | answers 1
		3 cpe TransferComplete #b
		4 acs 200 -                   | owes none, open 3
		5 cpe TransferComplete #c     | open 3 5
		6 acs 200 -
		7 cpe -
		8 acs 200 Reboot #d           | owes cpe
		9 cpe RebootResponse #d       | answers 8
		10 acs 204 -                  | ends, open 3 5`},
	{"answer of the ACS out of its place", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a           | answers 1
		3 cpe TransferComplete #b
		4 acs 200 GetParameterValues #g       | open 3 4
		5 cpe GetParameterValuesResponse #g   | answers 4
		6 acs 200 TransferCompleteResponse #z | orphan, open 3
		7 cpe -
		8 acs 200 TransferCompleteResponse #b | answers 3`},
	{"fault out of its place needs the ID", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a | answers 1
		3 cpe TransferComplete #b
		4 acs 200 -
		5 cpe -
		6 acs 200 Fault             | orphan
		7 cpe -
		8 acs 200 Fault #b          | answers 3`},
	{"response of another RPC answers nothing", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a         | answers 1
		3 cpe -
		4 acs 200 SetParameterValues #b
		5 cpe GetParameterValuesResponse #b | orphan, open 4
		6 acs 204 -                         | ends, open 4`},
	{"response to nothing", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a         | answers 1
		3 cpe GetParameterValuesResponse #b | orphan
		4 acs 200 InformResponse #b         | orphan`},
	{"RPC left behind for another", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a         | answers 1
		3 cpe -
		4 acs 200 GetParameterValues #b
		5 cpe -                             | owes acs
		6 acs 200 SetParameterValues #c     | open 4 6
		7 cpe SetParameterValuesResponse #c | answers 6, open 4
		8 acs 204 -                         | ends, open 4`},
	{"session lost while the CPE owes an answer", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a | answers 1
		3 cpe -
		4 acs 200 Reboot #b         | owes cpe, open 4`},
	{"CPE asks where it owes an answer", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a           | answers 1
		3 cpe -
		4 acs 200 GetParameterValues #b
		5 cpe TransferComplete #c             | open 5 4
		6 acs 200 TransferCompleteResponse #c | answers 5, owes cpe
		7 cpe GetParameterValuesResponse #b   | answers 4
		8 acs 204 -                           | ends`},
	{"held back", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a hold        | answers 1, held
		3 cpe -
		4 acs 200 GetParameterValues #b hold    | held
		5 cpe GetParameterValuesResponse #b     | answers 4
		6 acs 200 SetParameterValues #c         | owes cpe
		7 cpe SetParameterValuesResponse #c     | answers 6
		8 acs 200 -                             | owes none
		9 cpe TransferComplete #d
		10 acs 200 TransferCompleteResponse #d  | answers 9
		11 cpe -
		12 acs 204 -                            | ends`},
	{"empty answer while held back ends nothing", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a hold | answers 1, held
		3 cpe -
		4 acs 204 -                      | held
		5 cpe -
		6 acs 200 Reboot #b
		7 cpe RebootResponse #b          | answers 6`},
	{"held back after the CPE's empty message", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a              | answers 1
		3 cpe -
		4 acs 200 GetParameterValues #b hold     | held
		5 cpe GetParameterValuesResponse #b      | answers 4
		6 acs 200 -                              | held
		7 cpe -
		8 acs 200 Reboot #c
		9 cpe RebootResponse #c                  | answers 8
		10 acs 204 -                             | ends`},
	{"Inform sent again may be followed by requests", `
		1 cpe Inform #a nomore
		2 acs 500 Fault #a                   | answers 1
		3 cpe Inform #b
		4 acs 200 InformResponse #b          | answers 3
		5 cpe TransferComplete #c
		6 acs 200 -                          | open 5`},
	{"no more requests, as in 2004", `
		1 cpe Inform #a nomore
		2 acs 200 InformResponse #a       | answers 1
		3 cpe TransferComplete #b nomore
		4 acs 200 -                       | ends, open 3`},
	{"empty answer to an Inform ends nothing", `
		1 cpe Inform #a nomore
		2 acs 200 -     | accepted, open 1
		3 cpe Inform #a | error second-inform`},
	{"Inform turned down with a fault", `
		1 cpe Inform #a
		2 acs 200 Fault #a          | answers 1
		3 cpe TransferComplete #b   | error not-inform
		4 cpe Inform #c
		5 acs 200 InformResponse #c | answers 4, accepted`},
	{"second Inform", `
		1 cpe Inform #a
		2 cpe Inform #a             | error in-flight
		3 acs 200 InformResponse #a | answers 1
		4 cpe Inform #a             | error second-inform`},
	{"begins with an answer", `
		1 cpe GetParameterValuesResponse #a | error not-inform
		2 cpe Fault                         | error not-inform
		3 acs 200 Reboot                    | error unasked-answer
		4 cpe Inform #a`},
	{"begins with a request", `
		1 cpe TransferComplete #a | error not-inform`},
	{"RPC in answer to the Inform", `
		1 cpe Inform #a
		2 acs 200 GetParameterValues #b     | accepted, open 1 2
		3 cpe GetParameterValuesResponse #b | answers 2
		4 acs 200 InformResponse #a         | answers 1`},
	{"vendor RPCs", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a          | answers 1
		3 cpe X_00005E_Ask #b
		4 acs 200 X_00005E_AskResponse #b    | answers 3
		5 cpe -
		6 acs 200 X_00005E_Do #c
		7 cpe X_00005E_OtherResponse #c      | orphan, open 6
		8 acs 200 -                          | ends, open 6`},
	{"vendor RPC answered", `
		1 cpe Inform #a
		2 acs 200 InformResponse #a    | answers 1
		3 cpe -
		4 acs 200 X_00005E_Do #c
		5 cpe X_00005E_DoResponse      | answers 4, wrong id
		6 acs 204 -                    | ends`},
	{"time-out asked for", `
		1 cpe Inform #a timeout=40  | timeout 40
		2 acs 200 InformResponse #a | answers 1, timeout 40
		3 cpe - `},
}

func TestSession(t *testing.T) {
	for _, tt := range sessionTranscripts {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSession()
			for line := range strings.Lines(strings.TrimSpace(tt.lines)) {
				playLine(t, s, strings.TrimSpace(line))
			}
		})
	}
}

// playLine gives one line to the session and compares. Errors, answers, orphans,
// other IDs and ends must stand in the line; of the rest what stands there must hold.
func playLine(t *testing.T, s *Session, line string) {
	t.Helper()
	said, expectation, _ := strings.Cut(line, "|")
	words := strings.Fields(said)
	seq, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	var turn Turn
	party := PartyCPE
	if words[1] == "acs" {
		party = PartyACS
		status, _ := strconv.Atoi(words[2])
		turn, err = s.FromACS(status, testMessage(words[3:]))
	} else {
		turn, err = s.FromCPE(testMessage(words[2:]))
	}
	if err == nil {
		s.Recorded(party, seq)
	}

	must, may := sessionFacts(s, turn, err)
	for want := range strings.SplitSeq(expectation, ",") {
		want = strings.TrimSpace(want)
		if i := slices.Index(must, want); i >= 0 {
			must = slices.Delete(must, i, i+1)
		} else if want != "" && !slices.Contains(may, want) {
			t.Errorf("%s: not %q, but %q %q", line, want, must, may)
		}
	}
	if len(must) > 0 {
		t.Errorf("%s: also %q", line, must)
	}
}

func sessionFacts(s *Session, turn Turn, err error) (must, may []string) {
	if err != nil {
		must = append(must, "error "+string(err.(SequenceError)))
	}
	if turn.Answers != nil {
		must = append(must, fmt.Sprintf("answers %d", turn.Answers.Seq))
	}
	for fact, holds := range map[string]bool{"wrong id": turn.WrongID, "orphan": turn.Orphan, "ends": turn.Ends} {
		if holds {
			must = append(must, fact)
		}
	}
	open := "open"
	for _, r := range s.Open() {
		open += fmt.Sprintf(" %d", r.Seq)
	}
	may = append(may, "owes "+s.Owes().String(), open)
	if seconds, ok := s.Timeout(); ok {
		may = append(may, fmt.Sprintf("timeout %d", seconds))
	}
	for fact, holds := range map[string]bool{"accepted": s.Accepted(), "held": s.Held()} {
		if holds {
			may = append(may, fact)
		}
	}
	return must, may
}

// testMessage makes a message of an element name, "#" and ID ("_" for a blank),
// and header elements.
func testMessage(words []string) *Message {
	if words[0] == "-" {
		return nil
	}
	m := &Message{Name: words[0]}
	m.Method, m.Kind = ParseMethod([]byte(m.Name))
	for _, w := range words[1:] {
		switch {
		case w[0] == '#':
			m.Header.ID = T(strings.ReplaceAll(w[1:], "_", " "))
		case w == "hold":
			m.Header.HoldRequests = T("1")
		case w == "nomore":
			m.Header.NoMoreRequests = T(" true\n")
		case strings.HasPrefix(w, "timeout="):
			m.Header.SessionTimeout = T(w[len("timeout="):])
		}
	}
	return m
}

// TestSessionUndelivered: a request that never arrived is not one without an answer.
func TestSessionUndelivered(t *testing.T) {
	s := NewSession()
	for _, line := range []string{
		"1 cpe Inform #a",
		"2 acs 200 InformResponse #a | answers 1",
		"3 cpe -",
		"4 acs 200 Reboot #b | open 4, owes cpe",
	} {
		playLine(t, s, line)
	}
	s.Recorded(PartyCPE, 9) // its last message made no request
	s.Undelivered(PartyCPE)
	playLine(t, s, "5 acs 200 - | error unasked-answer, open 4, owes cpe")
	s.Undelivered(PartyACS)
	s.Undelivered(PartyACS)
	for _, line := range []string{
		"6 cpe - | open, owes acs",
		"7 acs 204 - | ends",
	} {
		playLine(t, s, line)
	}
}

// TestSessionBounds: what a peer can make a session keep is bounded.
func TestSessionBounds(t *testing.T) {
	s := NewSession()
	playLine(t, s, "1 cpe Inform #a")
	playLine(t, s, "2 acs 200 InformResponse #a | answers 1")
	long := strings.Repeat("x", 1<<16)
	for range 3 * maxAbandoned {
		if _, err := s.FromCPE(testMessage([]string{"X_00005E_" + long, "#" + long})); err != nil {
			t.Fatal(err)
		}
		if _, err := s.FromACS(200, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Open()); n != maxAbandoned+1 {
		t.Errorf("%d requests kept", n)
	}
	for _, r := range s.Open() {
		if len(r.Name) > maxRefText || len(r.ID) > maxRefText {
			t.Fatalf("kept %d bytes of name, %d of ID", len(r.Name), len(r.ID))
		}
	}
	s.FromCPE(testMessage([]string{"X_00005E_" + long, "#" + long}))
	turn, err := s.FromACS(200, testMessage([]string{"X_00005E_" + long + "Response", "#" + long}))
	if err != nil || turn.Answers == nil || turn.WrongID {
		t.Errorf("long names and IDs: %+v, %v", turn.Answers, err)
	}
}

func TestSequenceErrors(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range SequenceErrors() {
		if e.Error() == string(e) || seen[e.Error()] {
			t.Errorf("%s has no text of its own", string(e))
		}
		seen[e.Error()] = true
	}
}

// FuzzSession plays any sequence of messages and checks what must hold of all.
func FuzzSession(f *testing.F) {
	names := []string{"-", "Inform", "InformResponse", "TransferComplete", "TransferCompleteResponse", "Reboot", "RebootResponse",
		"Fault", "X_00005E_Do", "X_00005E_DoResponse", "GetParameterValues", "GetParameterValuesResponse"}
	ids := []string{"#a", "#b", "hold", "nomore"}
	statuses := []int{200, 204, 401, 500, 302, 200, 200, 400}
	// Two bytes a message: name and party, then status and ID.
	f.Add([]byte{1 << 1, 0, 2<<1 | 1, 0, 0, 0, 10<<1 | 1, 1, 11 << 1, 1, 1, 1 << 2})      // an ordinary session
	f.Add([]byte{1 << 1, 0, 1, 2 << 2, 1 << 1, 0, 2<<1 | 1, 0, 3 << 1, 1, 1, 0, 0, 0, 1}) // challenged, then an empty answer
	f.Add([]byte{1 << 1, 3, 2<<1 | 1, 2, 0, 0, 5<<1 | 1, 0, 6 << 1, 1, 1, 2 << 2, 6 << 1, 1, 7<<1 | 1, 3 << 2})
	f.Fuzz(func(t *testing.T, script []byte) {
		s := NewSession()
		open := map[uint64]Party{} // what was asked and not taken back, by number
		var challenged uint64      // the number of the CPE's last message while a 401 may take it back
		for i := 0; i+1 < len(script); i += 2 {
			a, b, seq := script[i], script[i+1], uint64(i+1)
			m := testMessage([]string{names[int(a>>1)%len(names)], ids[b&3]})
			before, wasEnded := len(s.Open()), s.Ended()
			var turn Turn
			var err error
			party := PartyCPE
			status := 0
			if a&1 == 0 {
				turn, err = s.FromCPE(m)
			} else {
				party, status = PartyACS, statuses[int(b>>2)%len(statuses)]
				turn, err = s.FromACS(status, m)
			}
			if err != nil {
				if !slices.Contains(SequenceErrors(), err.(SequenceError)) || turn != (Turn{}) || len(s.Open()) != before || s.Ended() != wasEnded {
					t.Fatalf("message %d: error %v changed something: %+v", seq, err, turn)
				}
				continue
			}
			s.Recorded(party, seq)
			checkTurn(t, s, turn, party, m, wasEnded)
			if party == PartyCPE {
				challenged = seq
			} else if status == 401 {
				delete(open, challenged)
			}
			if status != 401 && m != nil && m.Kind == KindRequest {
				open[seq] = party
			}
			if r := turn.Answers; r != nil {
				if asker, ok := open[r.Seq]; !ok || asker != r.From || asker == party {
					t.Fatalf("message %d answers %d, asked by %v", seq, r.Seq, asker)
				}
			}
			for _, r := range s.Open() {
				if asker, ok := open[r.Seq]; !ok || asker != r.From {
					t.Fatalf("message %d: open is %d of %v, which was not asked", seq, r.Seq, r.From)
				}
			}
		}
	})
}

func checkTurn(t *testing.T, s *Session, turn Turn, party Party, m *Message, wasEnded bool) {
	t.Helper()
	seen := map[uint64]bool{}
	for _, r := range s.Open() {
		if seen[r.Seq] {
			t.Fatalf("%d is open twice", r.Seq)
		}
		seen[r.Seq] = true
	}
	isAnswer := m != nil && m.Kind != KindRequest
	switch {
	case wasEnded:
		t.Fatal("a turn after the end")
	case turn.From != party || turn.Message != m:
		t.Fatalf("not what was said: %+v", turn)
	case isAnswer != (turn.Orphan || turn.Answers != nil), turn.Orphan && turn.Answers != nil:
		t.Fatalf("an answer is an orphan or answers, nothing else is either: %+v", turn)
	case turn.WrongID && turn.Answers == nil:
		t.Fatalf("wrong ID of no answer: %+v", turn)
	case turn.Ends != s.Ended(), turn.Ends && party == PartyCPE:
		t.Fatalf("ends: %+v", turn)
	case s.Ended() && s.Owes() != PartyNone, !s.Ended() && (party == PartyCPE) != (s.Owes() == PartyACS):
		t.Fatalf("%v owes", s.Owes())
	case turn.Answers != nil && seen[turn.Answers.Seq]:
		t.Fatalf("%d was answered and is open", turn.Answers.Seq)
	}
}
