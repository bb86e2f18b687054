package h1

import "sync"

// Sizes of the pooled buffers. The small one takes a whole TLS record, and with
// it nearly every message.
const (
	smallBuffer = 16 << 10
	largeBuffer = 64 << 10
	keptFields  = 40 // of a head with more, the slice is left to the collector
	bodyRoom    = 4 << 10
)

// The pools hold nothing that anybody could observe, so two gateways in one
// process may share them.
var (
	smallBuffers = sync.Pool{New: func() any { return new(small) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// small is what a message is read into: the buffer, and the fields that point
// into it. The fields stand first, so that the collector scans them alone.
type small struct {
	fields [keptFields]Field
	bytes  [smallBuffer]byte
}

// buffer holds what was read and not yet used: bytes[r:w]. What lies below
// floor is a head that is still in use.
type buffer struct {
	small       *small
	large       *[largeBuffer]byte // where a head outgrew the small one
	bytes       []byte             // one of the two, or one of its own for a larger limit
	r, w, floor int
}

// acquire makes sure that there is a buffer.
func (b *buffer) acquire() {
	if b.bytes == nil {
		b.small = smallBuffers.Get().(*small)
		b.bytes = b.small.bytes[:]
	}
}

// release gives the buffers back; nothing may point into them any more.
func (b *buffer) release() {
	if b.small != nil {
		clear(b.small.fields[:])
		smallBuffers.Put(b.small)
	}
	if b.large != nil {
		largeBuffers.Put(b.large)
	}
	*b = buffer{}
}

// fields is room for a head's fields.
func (b *buffer) fields() Fields { return b.small.fields[:0] }

func (b *buffer) buffered() int { return b.w - b.r }

// restart moves what is unread to the front: the head before it is done with.
func (b *buffer) restart() {
	if b.r == b.w {
		b.release()
		return
	}
	b.floor = 0
	b.slide()
}

func (b *buffer) slide() {
	b.w = b.floor + copy(b.bytes[b.floor:], b.bytes[b.r:b.w])
	b.r = b.floor
}

// grow makes room for a head that is incomplete, with some left for the lines
// of a chunked body behind it. The limit on heads bounds it.
func (b *buffer) grow(most int) {
	b.slide()
	old, oldLarge := b.bytes, b.large
	if len(old) < largeBuffer {
		b.large = largeBuffers.Get().(*[largeBuffer]byte)
		b.bytes = b.large[:]
	} else {
		b.large, b.bytes = nil, make([]byte, max(most+bodyRoom, len(old)+bodyRoom))
	}
	copy(b.bytes, old[:b.w])
	if oldLarge != nil {
		largeBuffers.Put(oldLarge)
	}
}
