package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// What a check does.
const (
	CheckOff  = "off"
	CheckTCP  = "tcp"
	CheckHTTP = "http"
	CheckCWMP = "cwmp"
)

// Check asks a node from time to time whether it is well.
type Check struct {
	Kind    string           `yaml:"kind" enum:"off|tcp|http|cwmp" doc:"off; tcp: a connection, with https its handshake; http: GET of path; cwmp: an empty POST to path, which an ACS takes for the begin of a session that never comes. Any answer below 500 is a well one."`
	Path    string           `yaml:"path" doc:"Path and query of http and cwmp."`
	Every   configs.Duration `yaml:"every" min:"100ms" doc:"Time between two checks of a node."`
	Timeout configs.Duration `yaml:"timeout" min:"10ms" doc:"The longest that one may take."`
	Fall    int              `yaml:"fall" min:"1" max:"100" doc:"So many that failed in a row put a node out."`
	Rise    int              `yaml:"rise" min:"1" max:"100" doc:"So many that passed in a row bring it back."`
}

// SetDefaults gives the section its defaults before it is read.
func (c *Check) SetDefaults() {
	c.Kind, c.Path, c.Fall, c.Rise = CheckOff, "/", 3, 2
	c.Every, c.Timeout = configs.Duration(5*time.Second), configs.Duration(2*time.Second)
}

// Validate reports what no single key's type can tell.
func (c *Check) Validate(at configs.At) {
	if !isTarget(c.Path) {
		at.Errorf("path", "%q is no path: it begins with a slash, and is of visible characters", c.Path)
	}
}

func isTarget(s string) bool {
	for _, b := range []byte(s) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return s != "" && s[0] == '/'
}

// watch checks one node until ctx ends. The first check is at any time of the
// first round, so that many gateways do not ask in step.
func (p *Pool) watch(ctx context.Context, m *member) {
	every := time.Duration(p.cfg.Check.Every)
	next := time.NewTimer(time.Duration(rand.Int64N(int64(every))))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		err := p.cfg.Check.ask(ctx, m.node)
		if ctx.Err() != nil {
			return
		}
		p.checked(m, err == nil, time.Now())
		next.Reset(every)
	}
}

// ask is one check.
func (c *Check) ask(ctx context.Context, n *Node) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Timeout))
	defer cancel()
	conn, err := n.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.Kind == CheckTCP {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	method := []byte("GET")
	fields := []h1.Field{{Name: []byte("Host"), Value: []byte(n.authority)}, {Name: []byte("Connection"), Value: []byte("close")}}
	if c.Kind == CheckCWMP {
		method = []byte("POST")
	}
	if _, err := conn.Send(method, []byte(c.Path), fields, nil); err != nil {
		return fmt.Errorf("check %s: %w", n.name, err)
	}
	deadline, _ := ctx.Deadline()
	resp, err := conn.Receive(method, deadline)
	if err != nil {
		return fmt.Errorf("check %s: %w", n.name, err)
	}
	if resp.Status >= 500 {
		return fmt.Errorf("check %s: it answered %d", n.name, resp.Status)
	}
	return nil
}
