package xmlscan

import "bytes"

// Content returns the text that raw reads as between a start and an end tag.
func Content(raw []byte, charset string) ([]byte, error) {
	s := New(Limits{Depth: 1, Attributes: 1, Namespaces: 1, Name: 1024})
	document := bytes.Join([][]byte{[]byte("<t>"), raw, []byte("</t>")}, nil)
	if s.Reset(document, charset) {
		t := s.Text()
		if s.Finish() {
			return t.Bytes, nil
		}
	}
	return nil, s.Err()
}
