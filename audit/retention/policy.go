package retention

import (
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/configs"
)

// Policy is the section retention of the config.
type Policy struct {
	Default Kinds            `yaml:"default" doc:"How long records are kept, by kind. What is not said is kept for ever."`
	Tenants map[string]Kinds `yaml:"tenants" doc:"Other ages for records of a tenant, by its name. What is not said is as in default."`
}

// Kinds is an age for each kind of record. System records are kept for ever:
// they hold the proof of the others.
type Kinds struct {
	Message  configs.Age `yaml:"message" doc:"Messages of CPEs and ACSes, with their values."`
	Session  configs.Age `yaml:"session" doc:"Ends of sessions."`
	Transfer configs.Age `yaml:"transfer" doc:"Files that went through the gateway."`
	Refusal  configs.Age `yaml:"refusal" doc:"Refused messages."`
	Security configs.Age `yaml:"security" doc:"Security events."`
	Decision configs.Age `yaml:"decision" doc:"Informs and connections that admission refused."`
}

// Tidies says whether anything is to go by its age.
func (p *Policy) Tidies() bool {
	for _, kind := range audit.Kinds() {
		for _, tenant := range p.named() {
			if p.age(kind, tenant) > 0 {
				return true
			}
		}
	}
	return false
}

func (k Kinds) of(kind string) configs.Age {
	switch kind {
	case audit.KindMessage:
		return k.Message
	case audit.KindSession:
		return k.Session
	case audit.KindTransfer:
		return k.Transfer
	case audit.KindRefusal:
		return k.Refusal
	case audit.KindSecurity:
		return k.Security
	case audit.KindDecision:
		return k.Decision
	}
	return configs.Forever
}

// age is that of a kind and a tenant. Records of no tenant, refused before they
// had one, are kept as long as any.
func (p *Policy) age(kind, tenant string) configs.Age {
	if tenant == "" {
		longest := p.or(kind, Kinds{})
		for _, own := range p.Tenants {
			if a := p.or(kind, own); a < 0 || longest > 0 && a > longest {
				longest = a
			}
		}
		return longest
	}
	return p.or(kind, p.Tenants[tenant])
}

// or is a tenant's own age, or else the default.
func (p *Policy) or(kind string, own Kinds) configs.Age {
	for _, a := range []configs.Age{own.of(kind), p.Default.of(kind)} {
		if a != 0 {
			return a
		}
	}
	return configs.Forever
}

// named are the tenants that the policy names, and one that it does not.
func (p *Policy) named() []string {
	all := []string{"", "another"}
	for name := range p.Tenants {
		all = append(all, name)
	}
	return all
}

// longestEpoch is how long one lasts, and somewhat more.
const longestEpoch = 25 * time.Hour

// before is the moment that records of an age are older than, moved back to the
// beginning of an epoch: epochs expire as a whole. Where none had begun within a
// day, days do.
func before(age configs.Age, now time.Time, epochs []epoch) time.Time {
	moment, ok := age.Before(now)
	if !ok {
		return time.Time{}
	}
	day := moment.UTC().Truncate(24 * time.Hour)
	for _, e := range epochs {
		if !e.at.After(moment) && moment.Sub(e.at) < longestEpoch {
			day = e.at
		}
	}
	return day
}
