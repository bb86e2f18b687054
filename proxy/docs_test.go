package proxy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// TestReasonsAreDocumented holds docs/http.md and docs/cwmp.md to the reasons
// that refusals can have.
func TestReasonsAreDocumented(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	http, messages := read("../docs/http.md"), read("../docs/cwmp.md")
	own := regexp.MustCompile(`(?m)^\treason\w+\s*= "([a-z-]+)"`).FindAllStringSubmatch(read("refuse.go"), -1)
	if len(own) < 20 {
		t.Fatalf("found only %d reasons in refuse.go", len(own))
	}
	for _, m := range own {
		if !strings.Contains(http, "`"+m[1]+"`") {
			t.Errorf("docs/http.md lacks %s", m[1])
		}
	}
	for _, r := range admission.Reasons() {
		if !strings.Contains(read("../docs/admission.md"), "`"+r+"`") {
			t.Errorf("docs/admission.md lacks %s", r)
		}
	}
	for _, r := range h1.Reasons() {
		if !strings.Contains(http, "`"+string(r)+"`") {
			t.Errorf("docs/http.md lacks %s", r)
		}
	}
	for _, r := range cwmp.Reasons() {
		if !strings.Contains(messages, "`"+string(r)+"`") {
			t.Errorf("docs/cwmp.md lacks %s", r)
		}
	}
}
