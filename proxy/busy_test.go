package proxy

import (
	"fmt"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// TestBusiest finds the few busy devices among very many others, and forgets
// them after two minutes.
func TestBusiest(t *testing.T) {
	var b busy
	now := time.Unix(600, 0)
	key := func(serial string) string {
		return deviceKey("isp", audit.Device{OUI: "00005E", Class: "HG", Serial: serial})
	}
	for i := range 20_000 {
		b.count(key(fmt.Sprint("once-", i)), now)
		if i%10 == 0 {
			b.count(key("flaps"), now)
		}
		if i%20 == 0 {
			b.count(key("flaps-less"), now)
		}
	}
	if n := len(b.now); n > busyRoom {
		t.Errorf("%d devices are kept", n)
	}
	got := b.most(2, now)
	if len(got) != 2 || got[0].Serial != "flaps" || got[1].Serial != "flaps-less" || got[0].Tenant != "isp" || got[0].OUI != "00005E" || got[0].Informs < 1900 {
		t.Errorf("%+v", got)
	}
	if got := b.most(2, now.Add(time.Minute)); len(got) != 2 {
		t.Errorf("a minute later: %+v", got)
	}
	b.count(key("flaps"), now.Add(time.Minute))
	if got := b.most(2, now.Add(3*time.Minute)); len(got) != 0 {
		t.Errorf("two minutes after the last: %+v", got)
	}
}
