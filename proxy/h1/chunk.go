package h1

import "bytes"

// nextChunk reads the line that begins a chunk, with the line end that closes
// the one before; behind the last chunk it reads the end of the body.
func (b *body) nextChunk() error {
	if b.inChunks {
		end, err := b.line(2)
		if err != nil {
			return err
		}
		if len(end) > 0 {
			return b.fail(bad(ReasonChunkEnd, "chunk is longer than its size says: %q", excerpt(end)))
		}
	}
	b.inChunks = true
	// 16 digits, the extension and CRLF.
	line, err := b.line(18 + b.conn.limits.ChunkExtension)
	if err != nil {
		return err
	}
	size, p := b.chunkSize(line)
	if p != nil {
		return b.fail(p)
	}
	if size == 0 {
		return b.trailers()
	}
	if b.max >= 0 && size > b.max-b.got {
		return b.over()
	}
	b.left = size
	return nil
}

// line returns the next line without its CRLF, which takes at most limit bytes.
func (b *body) line(limit int) ([]byte, error) {
	c := b.conn
	for from := 0; ; {
		in := c.bytes[c.r:c.w]
		i := bytes.IndexByte(in[from:], '\n')
		if i >= 0 {
			i += from
		}
		if i < 0 && len(in) >= limit || i >= limit {
			if cr := bytes.IndexByte(in[:limit], '\r'); cr >= 0 && cr+1 < limit && in[cr+1] != '\n' {
				return nil, b.fail(bad(ReasonBareCR, "CR without LF in a line of a chunked body"))
			}
			if limit == 2 {
				return nil, b.fail(bad(ReasonChunkEnd, "no line end behind a chunk but %q", excerpt(in)))
			}
			if bytes.IndexByte(in[:limit], ';') >= 0 {
				return nil, b.fail(bad(ReasonChunkExtension, "line of a chunked body is over %d bytes", limit))
			}
			return nil, b.fail(bad(ReasonChunkSize, "line of a chunked body is over %d bytes: %q", limit, excerpt(in)))
		}
		if i >= 0 {
			if i == 0 || in[i-1] != '\r' {
				return nil, b.fail(bad(ReasonBareLF, "LF without CR in a line of a chunked body"))
			}
			if cr := bytes.IndexByte(in[:i-1], '\r'); cr >= 0 {
				return nil, b.fail(bad(ReasonBareCR, "CR without LF in a line of a chunked body"))
			}
			c.r += i + 1
			return in[:i-1], nil
		}
		from = len(in)
		if err := b.fill(); err != nil {
			return nil, b.broken(err)
		}
	}
}

// chunkSize reads hexadecimal digits and drops an extension. Old Apache servers
// pad the size with blanks, so an ACS may.
func (b *body) chunkSize(line []byte) (size int64, p *problem) {
	digits, ext, has := bytes.Cut(line, []byte{';'})
	if b.status != 0 {
		digits = bytes.TrimRight(digits, " \t")
	}
	if len(digits) == 0 || len(digits) > 16 || !all(digits, isHex) {
		return 0, bad(ReasonChunkSize, "chunk size is %q", excerpt(line))
	}
	for _, c := range digits {
		if size >= 1<<58 {
			return 0, bad(ReasonChunkSize, "chunk size is %q", digits)
		}
		size = size<<4 | int64(hexValue(c))
	}
	if !has {
		return size, nil
	}
	for _, c := range ext {
		if classes[c]&isControl != 0 {
			return 0, bad(ReasonControl, "control character 0x%02x in a chunk extension", c)
		}
	}
	limit := int64(b.conn.limits.ChunkExtension)
	// In all, extensions may not outweigh the body they come with.
	if b.ext += int64(len(ext)); int64(len(ext)) > limit || b.ext > 16*limit+b.got {
		return 0, bad(ReasonChunkExtension, "%d bytes of chunk extensions", b.ext)
	}
	return size, nil
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// trailers ends the body: a request must have none, those of a response are
// dropped. They count as the fields of one more head.
func (b *body) trailers() error {
	limits := &b.conn.limits
	for size, n := 0, 0; ; n++ {
		line, err := b.line(bodyRoom)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			b.kind = bodyDone
			return nil
		}
		if b.status == 0 {
			return b.fail(bad(ReasonTrailer, "trailer field %q", excerpt(line)))
		}
		if _, p := parseField(line); p != nil {
			return b.fail(p)
		}
		if size += len(line) + 2; size > limits.Head || n >= limits.Fields {
			return b.fail(bad(ReasonTrailer, "more than %d bytes or %d trailer fields", limits.Head, limits.Fields))
		}
	}
}
