package proxy

import (
	"crypto/sha256"
	"net/netip"
	"slices"
)

// sessionKey is a cookie or nonce of a tenant, hashed: what peers send is long
// at their will, and kept for as long as a session.
type sessionKey [16]byte

func (t *tenant) cookieKey(pair []byte) sessionKey { return t.sessionKey('c', pair) }
func (t *tenant) nonceKey(nonce string) sessionKey { return t.sessionKey('n', []byte(nonce)) }

func (t *tenant) sessionKey(kind byte, text []byte) (k sessionKey) {
	var room [256]byte // enough for nearly every cookie, and no garbage
	named := append(append(append(room[:0], t.name...), 0, kind), text...)
	sum := sha256.Sum256(named)
	copy(k[:], sum[:])
	return k
}

// holder is a session that has a key. One that its CPE only brought along keeps
// the key from naming another session, and names none itself: such a cookie may
// be the same on every device.
type holder struct {
	*session
	given bool // by the ACS, in this session
}

// keyAt is a key as sessions of one source have it.
type keyAt struct {
	key    sessionKey
	source netip.Prefix
}

// holders are the sessions that have a key. One that very many have, such as a
// load balancer's cookie, names none of them: beyond a few they are only counted.
type holders struct {
	list []holder
	more int
}

const maxHolders = 8

func (h *holders) add(s *session, given bool) {
	if len(h.list) < maxHolders {
		h.list = append(h.list, holder{s, given})
	} else {
		h.more++
	}
}

// remove is true where nobody is left.
func (h *holders) remove(s *session) bool {
	if i := slices.IndexFunc(h.list, func(x holder) bool { return x.session == s }); i >= 0 {
		h.list = slices.Delete(h.list, i, i+1)
	} else {
		h.more--
	}
	return len(h.list) == 0 && h.more <= 0
}

// maxKeys bounds the cookies and nonces that one session is found by.
const maxKeys = 32

// heldKey is one of them, as the session knows it.
type heldKey struct {
	key   sessionKey
	given bool
}

// give makes s found by a cookie or a nonce that the ACS gave it.
func (t *sessions) give(s *session, key sessionKey) { t.key(s, key, true) }

// brought takes note of a cookie that the CPE sent with its Inform.
func (t *sessions) brought(s *session, key sessionKey) { t.key(s, key, false) }

func (t *sessions) key(s *session, key sessionKey, given bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return
	}
	i := slices.IndexFunc(s.keys, func(k heldKey) bool { return k.key == key })
	switch {
	case i >= 0 && (s.keys[i].given || !given):
		return
	case i >= 0:
		t.drop(s, s.keys[i])
		s.keys[i].given = true
	case len(s.keys) >= maxKeys:
		return
	default:
		s.keys = append(s.keys, heldKey{key, given})
	}
	hold(t.byKey, keyAt{key, s.prefix}, s, given)
	if given {
		hold(t.given, key, s, true)
	}
}

func hold[K comparable](m map[K]*holders, k K, s *session, given bool) {
	h := m[k]
	if h == nil {
		h = new(holders)
		m[k] = h
	}
	h.add(s, given)
}

// drop takes a key from s.
func (t *sessions) drop(s *session, k heldKey) {
	at := keyAt{k.key, s.prefix}
	if h := t.byKey[at]; h != nil && h.remove(s) {
		delete(t.byKey, at)
	}
	if !k.given {
		return
	}
	if h := t.given[k.key]; h != nil && h.remove(s) {
		delete(t.given, k.key)
	}
}

// withKey returns the session that a request from source names by a key: the
// open one that the ACS gave it to, unless another open session of that source
// has it too, since a cookie such as a load balancer's says nothing then; else
// one that has just ended. A session of another source is named only by a key
// that nobody of this source has: that is for the caller to refuse.
func (t *sessions) withKey(key sessionKey, source netip.Prefix) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.byKey[keyAt{key, source}]; h != nil {
		return h.named()
	}
	if h := t.given[key]; h != nil && h.more == 0 && len(h.list) == 1 && !h.list[0].ended {
		return h.list[0].session
	}
	return nil
}

// named is the one session that the holders' key names, nil where it is none.
func (h *holders) named() *session {
	var open, ended *session
	n := h.more
	for _, x := range h.list {
		switch {
		case !x.ended:
			n++
			if x.given {
				open = x.session
			}
		case x.given:
			ended = x.session
		}
	}
	switch n {
	case 0:
		return ended
	case 1:
		return open
	}
	return nil
}
