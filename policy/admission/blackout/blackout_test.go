package blackout

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func small(g Gate, ignore float64, seed uint64) Config {
	return Config{Gate: g, Fleet: 20_000, Rate: 100, Spread: time.Minute, Ignore: ignore, Urgent: 0.02, Seed: seed}
}

func play(t *testing.T, cfg Config) *Result {
	t.Helper()
	r, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %.0f %% ignore Retry-After: 99 %% after %.3f times the lower bound, %.2f %% of %d urgent within 30 s, peak %+.1f %%, deviation %.1f, %d falls",
		cfg.Gate, 100*cfg.Ignore, r.Factor(), 100*r.Urgent30, r.Urgents, 100*r.Over(), r.Deviation, r.Falls)
	return r
}

// TestBlackout is the goals, on a small fleet.
func TestBlackout(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			r := play(t, small(Admission, 0, seed))
			if r.Factor() > 1.15 || r.Until99 == 0 {
				t.Errorf("99 %% had got through after %v, goal 1.15 times %v", r.Until99, r.LowerBound)
			}
			if r.Urgent30 < 0.999 || r.Urgents < 100 {
				t.Errorf("%.3f %% of %d urgent sessions within 30 s", 100*r.Urgent30, r.Urgents)
			}
			for _, ignore := range []float64{0.5, 1} {
				also := play(t, small(Admission, ignore, seed))
				if also.Over() > 0.02 || also.Falls > 0 || also.Until99 == 0 || also.Urgent30 < 0.999 {
					t.Errorf("with %.0f %% that ignore it: %+.3f over the rate, %d falls, 99 %% after %v, %.4f urgent in time", 100*ignore, also.Over(), also.Falls, also.Until99, also.Urgent30)
				}
			}
			if r.Over() > 0.02 || r.Falls > 0 {
				t.Errorf("%+.3f over the ACS's rate, %d falls", r.Over(), r.Falls)
			}
		})
	}
}

// TestWithout shows that the simulated ACS does fall over, and what a token
// bucket leaves to be wished for: else the goals would prove nothing.
func TestWithout(t *testing.T) {
	if r := play(t, small(Nothing, 0, 1)); r.Falls == 0 || r.Factor() < 2 {
		t.Error("an ACS with nothing before it stood")
	}
	r := play(t, small(TokenBucket, 0, 1))
	if r.Falls > 0 || r.Urgent30 > 0.95 || r.Factor() < 1.15 {
		t.Error("a token bucket is as good")
	}
}

// TestSameSeed plays one blackout twice.
func TestSameSeed(t *testing.T) {
	a, b := play(t, small(Admission, 0.5, 7)), play(t, small(Admission, 0.5, 7))
	if a.Until99 != b.Until99 || a.Refused != b.Refused || a.Peak != b.Peak {
		t.Errorf("%v, %v: one seed, two blackouts", a.Until99, b.Until99)
	}
}

// TestReport writes table and plot.
func TestReport(t *testing.T) {
	results := []*Result{play(t, Config{Gate: Admission, Fleet: 2000, Rate: 20, Spread: time.Minute, Seed: 1}), play(t, Config{Gate: Nothing, Fleet: 2000, Rate: 20, Spread: time.Minute, Seed: 1})}
	var table, plot bytes.Buffer
	if err := WriteTable(&table, results); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(table.String(), "\n"); lines != 4 {
		t.Errorf("%d lines of table:\n%s", lines, table.String())
	}
	if err := WritePlot(&plot, results); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(&plot); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
